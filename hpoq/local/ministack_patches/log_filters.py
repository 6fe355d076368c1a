"""Filter patterns of CloudWatch Logs for events of text.

ministack requires every term, also optional ones as in ``?ERROR ?WARN``, and ignores case. The
rules are those of "Filter pattern syntax" in the CloudWatch Logs user guide.
"""

from __future__ import annotations

import re
from collections.abc import Callable

# A term that is a word, a phrase in double quotes or a regular expression between percent signs.
_TERM = re.compile(r'([?-]?)(?:"([^"]*)"|%([^%]+)%|(\S+))')


def match_filter_patterns() -> None:
    """Let FilterLogEvents match patterns as AWS does; patterns for JSON match every event."""
    from ministack.services import cloudwatch_logs

    cloudwatch_logs._compile_filter_pattern = matcher


def matcher(pattern: str) -> Callable[[str], bool]:
    """Return a function that tells whether the text of an event matches a pattern.

    A text must contain each required term, none of the excluded ones and, if there are no required
    terms, one of the optional ones. Terms match whole words and are case-sensitive.
    """
    terms: dict[str, list[re.Pattern[str]]] = {"": [], "?": [], "-": []}
    if not pattern.lstrip().startswith("{"):
        for sign, phrase, expression, word in _TERM.findall(pattern):
            words = rf"(?<!\w){re.escape(phrase or word)}(?!\w)"
            terms[sign].append(re.compile(expression or words))
    required, optional, excluded = terms[""], terms["?"], terms["-"]

    def matches(text: str) -> bool:
        return (
            all(each.search(text) for each in required)
            and not any(each.search(text) for each in excluded)
            and (bool(required) or not optional or any(each.search(text) for each in optional))
        )

    return matches
