"""The pages of campaigns."""

from __future__ import annotations

import html
import json

from hpoq.ui.account import Account
from tests.support.dispatcher_account import Account as MotoAccount
from tests.support.dispatcher_account import account, session
from tests.support.page_scene import campaign_entries, put, scene
from tests.support.page_visitor import HOST, visit, visitor_of

__all__ = ["account", "session"]
PAGE = "/campaigns/fraud/credit"


def test_the_list_has_each_campaign_with_what_it_has_done(account: MotoAccount) -> None:
    made = scene(account)
    assert "There are no campaigns yet" in visit(made, "/campaigns")
    put(account, campaign_entries())
    text = html.unescape(visit(made, "/campaigns"))
    assert '<a href="/campaigns/fraud/credit">credit</a>' in text
    assert "114 of 200, 46 failed or stopped" in text
    assert ">0.9301<" in text


def test_the_page_of_a_campaign_has_its_tuning_jobs_and_their_best(account: MotoAccount) -> None:
    made = scene(account)
    put(account, campaign_entries())
    text = html.unescape(visit(made, PAGE))
    assert "5 tuning jobs sent so far" in text
    tiles = text.partition('<div class="tiles">')[2].partition("</section>")[0]
    assert "<b>0.9407</b>" in tiles, "the running tuning job's best so far"
    assert f"<b>{3 * 38 + 14}</b>" in tiles
    table = text.partition("<h2>Tuning jobs</h2>")[2]
    places = [table.index(f">credit-{n:05}</a>") for n in (5, 2, 3, 1, 4)]
    assert places == sorted(places), "running ones first, then the best ones"
    assert "CUDA out of memory" in table
    assert 'href="/campaigns/fraud/credit"' in visit(made, "/requests/fraud/credit-00001")


def test_the_figure_has_a_dot_for_each_tuning_job_with_a_result(account: MotoAccount) -> None:
    put(account, campaign_entries())
    visitor, _ = visitor_of(Account(scene(account)))
    answer = visitor.get(f"{PAGE}/figures.json", base_url=HOST)
    dots, line = json.loads(answer.text)[""]["objective"]["data"]
    assert dots["y"] == [0.9127, 0.9301, 0.9288]
    assert line["y"] == [0.9127, 0.9301, 0.9301]
    assert dots["customdata"][0] == "fraud-credit-00001-a1b2-017"


def test_an_unknown_campaign_is_not_found(account: MotoAccount) -> None:
    visitor, _ = visitor_of(Account(scene(account)))
    answer = visitor.get("/campaigns/fraud/nothing", base_url=HOST)
    assert answer.status_code == 404
    assert "team fraud has no requests of a campaign nothing" in answer.text
