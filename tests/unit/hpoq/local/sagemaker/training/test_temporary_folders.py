"""The folders that a training job has in the place of shared ones."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

from hpoq.local.sagemaker.training.temporary_folders import TemporaryFolders


def test_each_job_has_folders_of_its_own_that_are_empty_and_end_with_it(tmp_path: Path) -> None:
    first, second = (TemporaryFolders(tmp_path / name) for name in ("first", "second"))
    assert not set(first.paths.values()) & set(second.paths.values())
    first.create()
    (place, *_) = (Path(each) for each in first.paths.values())
    assert place.stat().st_mode & 0o777 == 0o700
    (place / "left").touch()  # by a killed cloud
    again = TemporaryFolders(tmp_path / "first")
    again.create()
    assert list(place.iterdir()) == []
    again.delete()
    assert not any(Path(each).exists() for each in first.paths.values())


# sun_path in unix(7) has 108 bytes, and multiprocessing adds about 40 to the temporary folder.
def test_their_names_leave_space_for_unix_sockets(tmp_path: Path) -> None:
    deep = tmp_path / ("a" * 63) / ("b" * 63)
    assert all(len(Path(each).name) < 20 for each in TemporaryFolders(deep).paths.values())


def test_the_hosts_of_a_job_have_names_that_only_this_job_knows(tmp_path: Path) -> None:
    names = ["algo-1", "algo-2"]
    found = []
    for name in ("first", "second"):
        job = TemporaryFolders(tmp_path / name, names)
        job.create()
        file = Path(job.paths["/etc/hosts"])
        lines = file.read_text().removeprefix(Path("/etc/hosts").read_text()).splitlines()
        assert [line.split()[1] for line in lines] == names
        found += [line.split()[0] for line in lines]
        job.delete()
        assert not file.exists()
    assert len(set(found)) == 4
    assert all(ip_address(each).is_loopback for each in found)
    assert "/etc/hosts" not in TemporaryFolders(tmp_path, names[:1]).paths
