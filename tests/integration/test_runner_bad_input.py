"""What a user of `./pipeline` can do wrong, or finds in his way: one line that names place and cure, nothing damaged,
and the next `up` goes on. Every test drives the real command; what it starts is real too.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from local.home.places import REPOSITORY, Places
from local.home.ports import DEFAULTS
from local.parts import postgres
from local.processes import orphans
from local.software.maven import _sha256, read_lock
from local.software.self_install import RUNNING
from tests.harness.home import FURTHER, Home

OFFSET = 2000
PATIENCE_S = 60
PUBLIC_PYTHON = Path(f"/usr/bin/python{RUNNING}")
CHECKOUT = (
    "pipeline", "pipeline.toml", "local", "plugins", "sql", "flink", "ingester", "exchange", "dags",
    "requirements.txt", "requirements.lock", "tests/requirements.lock",
)  # fmt: skip


class Runner(Home):
    """A home of one test."""

    def __init__(self, folder: Path, **settings: str) -> None:
        super().__init__(folder.resolve(), OFFSET, {"EXCHANGE_CODES": "5", "EXCHANGE_RATE": "10", **settings})
        self.repository = REPOSITORY

    def with_settings(self, **settings: str) -> Runner:
        other = Runner(self.places.home, **settings)
        other.places, other.repository = self.places, self.repository
        other.environment = {**self.environment, **settings}
        return other

    def run(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [str(self.repository / "pipeline"), *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        assert not check or done.returncode == 0, f"{arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def refused(self, *arguments: str, says: tuple[str, ...]) -> None:
        """The command fails with exactly one line on stderr, which says all of `says`."""
        done = self.run(*arguments, check=False)
        lines = done.stderr.splitlines()
        assert done.returncode != 0, done.stdout
        assert len(lines) == 1, done.stderr
        assert lines[0].startswith("pipeline: ")
        assert "Traceback" not in done.stdout
        assert [said for said in says if said not in lines[0]] == [], lines[0]

    def processes(self) -> dict[str, int]:
        """Pid by name of what runs, by the machine-readable status."""
        found = json.loads(self.run("status", "--json", check=False).stdout)["processes"]
        return {process["name"]: process["pid"] for process in found if process["healthy"]}

    def open_ports(self) -> list[int]:
        return [port for port in (number + OFFSET + FURTHER for number in DEFAULTS.values()) if _is_open(port)]


def _is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[Runner]:
    runner = Runner(tmp_path / "home")
    yield runner
    runner.run("down", "--purge", "--yes")


@pytest.fixture
def checkout(runner: Runner, tmp_path: Path) -> Path:
    """A checkout of the runner's own, to be spoilt."""
    copy = tmp_path / "checkout"
    for name in CHECKOUT:
        source, target = REPOSITORY / name, copy / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, target)
    runner.repository = copy
    return copy


@pytest.fixture
def parts(runner: Runner, tmp_path: Path) -> Path:
    """Installed parts of the runner's own, to be spoilt: Kafka's jars are copies, the rest is shared."""
    shared, own = runner.places.parts, tmp_path / "parts"
    own.mkdir()
    for name in ("venvs", "flink", "m2"):
        (own / name).symlink_to(shared / name)
    for name in ("stamps", "kafka"):
        shutil.copytree(shared / name, own / name)
    runner.environment["PIPELINE_PARTS"] = str(own)
    runner.places = Places(REPOSITORY, own, runner.places.home)
    return own


# --- what is refused before anything starts -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--source", "upbit"), ("--source 'upbit' is unknown", "live, exchange or file:PATH")),
        (("--source", "exchange", "--start", "noon"), ("--start 'noon' is not ISO 8601", "use for example")),
        (("--source", "exchange", "--start", "2999-01-01T00:00:00Z"), ("lies in the future",)),
        (("--source", "exchange", "--speed", "0"), ("--speed 0 is outside",)),
        (("--source", "exchange", "--speed", "fast"), ("'fast' is not a number", "--help")),
        (("--source", "file:/no/such/recording"), ("recording /no/such/recording: No such file", "give --source")),
        (("--source", "exchange", "--only", "kafak"), ("--only kafak is unknown", "kafka")),
        (("--sauce", "live"), ("does not know --sauce", "--help")),
    ],
)
def test_a_wrong_option_fixes_nothing(runner: Runner, arguments: tuple[str, ...], says: tuple[str, ...]) -> None:
    runner.refused("up", *arguments, says=says)
    assert not runner.places.source_file.exists()


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (
            {"PIPELINE_MIN_FREE_GIB": "1000000"},
            ("GiB free at", "1e+06 are needed", "free the disk, move PIPELINE_HOME"),
        ),
        ({"PIPELINE_MIN_FREE_GIB": "plenty"}, ("PIPELINE_MIN_FREE_GIB='plenty' is not a number",)),
        ({"PIPELINE_PORT_OFFSET": "90000"}, ("is outside 1024..65535", "change PIPELINE_PORT_")),
        ({"PIPELINE_PORT_AIRFLO": "1"}, ("PIPELINE_PORT_AIRFLO is unknown", "use PIPELINE_PORT_AIRFLOW")),
        ({"UPBIT_STREAMS": "trade,candles"}, ("UPBIT_STREAMS", "'candles'", "known: ticker, trade, orderbook")),
        ({"UPBIT_STRAEMS": "trade"}, ("UPBIT_STRAEMS: unknown setting", "did you mean UPBIT_STREAMS?")),
        ({"EXCHANGE_RATE": "fast"}, ("EXCHANGE_RATE='fast' is not a number",)),
        ({"EXCHANGE_CODE": "4"}, ("EXCHANGE_CODE is unknown", "use EXCHANGE_CODES")),
        (
            {"PIPELINE_PYTHON": "/bin/false"},
            ("PIPELINE_PYTHON=/bin/false is not a supported Python (3.13 3.12 3.11)", "unset it"),
        ),
        ({"PIPELINE_HOME": "/tmp/a:b"}, ("PIPELINE_HOME=/tmp/a:b", "choose another folder")),
        ({"PIPELINE_HOME": "/dev/null/home"}, ("cannot write /dev/null/home/run", "set PIPELINE_HOME")),
    ],
)
def test_a_wrong_setting_fixes_nothing(runner: Runner, settings: dict[str, str], says: tuple[str, ...]) -> None:
    runner.with_settings(**settings).refused("up", "--source", "exchange", says=says)
    assert not runner.places.source_file.exists()
    assert runner.open_ports() == []


def test_no_python_at_all_is_one_line(runner: Runner, tmp_path: Path) -> None:
    bare = tmp_path / "bin"
    bare.mkdir()
    for tool in ("sh", "dirname"):
        (bare / tool).symlink_to(str(shutil.which(tool)))
    runner.environment["PATH"] = str(bare)
    runner.refused("up", says=("no supported Python (3.13 3.12 3.11) with venv on the PATH", "install one"))
    runner.environment["PATH"] = os.environ["PATH"]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("[lake]", '[lake]\ncolour = "red"', ("pipeline.toml: lake.colour: unknown key",)),
        ("partitions = 3", "partitons = 3", ("pipeline.toml", "partitons: unknown key", "did you mean 'partitions'")),
        ("[streams.trade]", "[streams.trades", ("pipeline.toml: not valid TOML",)),
        ('topic = "upbit-trade"', 'topic = "upbit-tradez"', ("streams.trade.topic: 'upbit-tradez' is not defined",)),
    ],
)
def test_a_broken_contract_is_refused(
    runner: Runner, checkout: Path, old: str, new: str, says: tuple[str, ...]
) -> None:
    contract = checkout / "pipeline.toml"
    contract.write_text(contract.read_text().replace(old, new, 1))
    runner.refused("up", "--source", "exchange", says=says)
    assert not runner.places.source_file.exists()


def test_a_recording_with_a_broken_line_is_refused_and_the_home_stays_free(runner: Runner, tmp_path: Path) -> None:
    recording = tmp_path / "frames.jsonl"
    recording.write_text('{"type":"ticker"\n')
    runner.refused("up", "--source", f"file:{recording}", "--only", "exchange", says=(str(recording), "1"))
    assert not runner.places.source_file.exists()
    runner.run("up", "--source", "exchange", "--only", "exchange")
    assert set(runner.processes()) == {"exchange"}


def test_a_platform_without_java_is_refused(runner: Runner, parts: Path, tmp_path: Path) -> None:
    """Neither a Java on the machine nor a wheel of one (here: nothing may be fetched, nothing is cached)."""
    bare = tmp_path / "bin"
    bare.mkdir()
    for tool in ("sh", "dirname"):
        (bare / tool).symlink_to(str(shutil.which(tool)))
    (parts / "stamps" / "java").unlink(missing_ok=True)
    poor = runner.with_settings(PATH=str(bare), UV_OFFLINE="1", PIPELINE_PYTHON=str(Path(sys.executable).resolve()))
    poor.environment.pop("JAVA_HOME", None)
    poor.environment["PIPELINE_PARTS"] = str(parts)
    poor.refused("up", "--source", "exchange", "--only", "exchange", says=("java/requirements.lock", "run it again"))
    assert not (parts / "stamps" / "java").exists()
    assert not runner.places.source_file.exists()


# --- what is found in a home -----------------------------------------------------------------------------------------


@pytest.fixture
def used(runner: Runner) -> Runner:
    """A home that was up once, with the exchange alone."""
    runner.run("up", "--source", "exchange", "--only", "exchange")
    return runner


def test_another_source_than_this_homes_is_refused_and_the_running_one_goes_on(used: Runner) -> None:
    before = used.processes()
    used.refused("up", "--source", "live", says=("keeps data of exchange, not of live", "another PIPELINE_HOME"))
    used.refused("up", "--speed", "3", says=("runs at --speed 1, not 3",))
    used.refused("up", "--start", "2026-07-30T06:00:00Z", says=("started at now",))
    assert used.processes() == before


def test_a_second_up_at_the_same_time_is_refused(used: Runner) -> None:
    with (used.places.run / "lock").open("a+") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        other.truncate(0)
        other.write("4711")
        other.flush()
        used.refused("up", says=("another ./pipeline up or down is at work", "pid 4711", "wait for it"))
        used.refused("down", says=("another ./pipeline up or down",))
    used.run("up", "--only", "exchange")


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda path: path.chmod(0o644), ("can be read by others", "chmod 600")),
        (lambda path: path.write_text(""), ("credentials.json is empty", "restore it")),
        (lambda path: path.write_text("{}"), ("empty, missing or unknown airflow_password", "restore it")),
        (lambda path: path.unlink(), ("credentials.json is gone", "restore it")),
    ],
)
def test_spoilt_credentials_are_refused_and_never_replaced(
    used: Runner, spoil: Callable[[Path], None], says: tuple[str, ...]
) -> None:
    path = used.places.credentials_file
    whole = path.read_text()
    spoil(path)
    for command in (("up",), ("status",), ("query", "SELECT 1")):
        used.refused(*command, says=says)
    path.unlink(missing_ok=True)
    path.write_text(whole)
    path.chmod(0o600)
    used.run("up", "--only", "exchange")


def test_a_broken_source_record_is_refused(used: Runner) -> None:
    used.places.source_file.write_text("{")
    used.refused("up", says=("source.json is broken", "restore it"))


def test_an_unexpected_error_is_one_line_and_its_trace_is_kept(runner: Runner) -> None:
    runner.run("up", "--source", "exchange", "--only", "exchange")
    runner.run("down")
    shutil.rmtree(runner.places.conf)
    runner.places.conf.touch()
    runner.refused("up", says=("unexpected FileExistsError", "logs/pipeline-error.log"))
    assert "Traceback" in (runner.places.logs / "pipeline-error.log").read_text()
    runner.places.conf.unlink()


def test_commands_on_a_home_that_never_was(runner: Runner) -> None:
    for command in (("status",), ("query", "SELECT 1"), ("sql",)):
        runner.refused(*command, says=("nothing was started in", "./pipeline up"))
    runner.refused("logs", "kafka-1", says=("no log of 'kafka-1'",))
    assert "nothing runs" in runner.run("down").stdout
    assert not runner.places.home.exists()


def test_a_purge_asks(used: Runner) -> None:
    used.refused("down", "--purge", says=("nothing was stopped or deleted", "--yes"))
    assert set(used.processes()) == {"exchange"}


# --- an installation that was not finished ---------------------------------------------------------------------------


def _wrong_jars(parts: Path) -> list[str]:
    jars = read_lock(REPOSITORY / "local" / "kafka" / "jars.lock")
    return [jar.file_name for jar in jars if _sha256(parts / "kafka" / jar.file_name) != jar.sha256]


def test_a_torn_jar_without_a_stamp_is_made_whole(runner: Runner, parts: Path) -> None:
    torn = sorted((parts / "kafka").glob("*.jar"))[0]
    torn.write_bytes(torn.read_bytes()[:100])
    (parts / "kafka" / "kafka-clients-3.8.0.jar").write_text("of an older release")
    (parts / "stamps" / "kafka").unlink()
    assert "kafka installed" in runner.run("up", "--source", "exchange", "--only", "exchange").stdout
    assert _wrong_jars(parts) == []
    assert not (parts / "kafka" / "kafka-clients-3.8.0.jar").exists(), "it would be on the class path too"


def test_an_installation_that_was_killed_is_finished_by_the_next_run(runner: Runner, parts: Path) -> None:
    shutil.rmtree(parts / "kafka")
    (parts / "stamps" / "kafka").unlink()
    command = [str(REPOSITORY / "pipeline"), "up", "--source", "exchange", "--only", "exchange"]
    with subprocess.Popen(command, env=runner.environment, stdout=subprocess.DEVNULL) as killed:
        _until("the first jars lie there", lambda: len(list((parts / "kafka").glob("*.jar"))) > 5)
        killed.send_signal(signal.SIGKILL)
    assert not (parts / "stamps" / "kafka").exists()
    runner.run("up", "--source", "exchange", "--only", "exchange")
    assert _wrong_jars(parts) == []


# --- what stands in the way of a start -------------------------------------------------------------------------------


@pytest.mark.engines
def test_a_taken_port_is_refused_with_its_holder_and_the_next_up_goes_on(runner: Runner) -> None:
    port = DEFAULTS["postgres"] + OFFSET + FURTHER
    with socket.create_server(("127.0.0.1", port)):
        runner.refused(
            "up", "--source", "exchange", "--only", "postgres,exchange",
            says=(f"port {port} for postgres is taken by", f"(pid {os.getpid()})", "PIPELINE_PORT_POSTGRES"),
        )  # fmt: skip
    runner.run("up", "--only", "postgres,exchange")
    assert set(runner.processes()) == {"postgres", "exchange"}


@pytest.mark.engines
def test_a_moved_port_restarts_those_who_use_it_and_is_remembered(runner: Runner) -> None:
    runner.run("up", "--source", "exchange", "--only", "postgres,exchange")
    before = runner.processes()
    moved = runner.with_settings(PIPELINE_PORT_EXCHANGE="20999").run("up", "--only", "postgres")
    assert [line.strip() for line in moved.stdout.splitlines() if "restarts" in line] == [
        "exchange restarts: its configuration, software or code changed"
    ]
    del runner.environment["PIPELINE_PORT_OFFSET"]
    after = runner.processes()
    assert after["postgres"] == before["postgres"]
    assert after["exchange"] != before["exchange"]
    assert _is_open(20999)
    again = runner.run("up", "--only", "postgres,exchange")
    assert "restarts" not in again.stdout
    assert runner.processes() == after


@pytest.mark.engines
def test_up_after_a_killed_supervisor_ends_the_orphans_and_starts_again(runner: Runner) -> None:
    runner.run("up", "--source", "exchange", "--only", "postgres,exchange")
    before = {process.pid for process in orphans.find(runner.places)}
    supervisor = int((runner.places.run / "supervisord.pid").read_text())
    os.kill(supervisor, signal.SIGKILL)
    _until("the supervisor is gone", lambda: not Path(f"/proc/{supervisor}").exists())
    again = runner.run("up", "--only", "postgres,exchange")
    assert "orphans of a crashed run" in again.stdout
    assert set(runner.processes()) == {"postgres", "exchange"}
    assert not before & {process.pid for process in orphans.find(runner.places)}


@pytest.mark.engines
def test_a_long_path_with_blanks_works(tmp_path: Path) -> None:
    runner = Runner(tmp_path / ("긴 home with blanks" + "/x" * 60))
    try:
        runner.run("up", "--source", "exchange", "--only", "postgres,exchange")
        assert set(runner.processes()) == {"postgres", "exchange"}
    finally:
        runner.run("down", "--purge", "--yes")
    assert not runner.places.short_run.exists()


@pytest.mark.engines
def test_down_leaves_no_process_no_port_and_a_purge_nothing(runner: Runner, parts: Path) -> None:
    """Home and parts lie where PostgreSQL's account cannot go when this runs as root (pytest's folders are private)."""
    runner.run("up", "--source", "exchange", "--only", "s3,postgres,exchange")
    outside = postgres._outside(runner.places)
    assert outside.exists() == (os.geteuid() == 0)
    runner.run("down")
    assert orphans.find(runner.places) == []
    assert runner.open_ports() == []
    runner.run("up", "--only", "postgres")
    runner.run("down", "--purge", "--yes")
    assert not runner.places.home.exists()
    assert not outside.exists()


@pytest.mark.engines
def test_a_part_that_dies_at_once_is_reported_in_its_own_words(runner: Runner) -> None:
    runner.run("up", "--source", "exchange", "--only", "exchange")
    runner.run("down")
    ledger = runner.places.data / "ledger"
    shutil.rmtree(ledger)
    ledger.touch()
    runner.refused("up", "--only", "exchange", says=("exchange does not stay up: upbit_exchange:", "exchange.log"))
    ledger.unlink()
    runner.run("up", "--only", "exchange")


# --- heavy: all engines, another account -----------------------------------------------------------------------------


@pytest.mark.nightly
@pytest.mark.engines
def test_every_engine_below_a_path_with_blanks_and_nothing_is_left(tmp_path: Path) -> None:
    runner = Runner(tmp_path / "내 home")
    try:
        runner.run("up", "--source", "exchange", "--only", "kafka,s3,postgres,flink,airflow,exchange")
        healthy = set(runner.processes())
        assert {
            "kafka-1",
            "jobmanager",
            "taskmanager-2",
            "gateway",
            "airflow-scheduler",
            "airflow-triggerer",
        } <= healthy
        supervisor = int((runner.places.run / "supervisord.pid").read_text())
        os.kill(supervisor, signal.SIGKILL)
        _until("the supervisor is gone", lambda: not Path(f"/proc/{supervisor}").exists())
        runner.run("up", "--only", "kafka,s3,postgres,flink,airflow,exchange")
        assert set(runner.processes()) == healthy
        runner.run("down")
        assert orphans.find(runner.places) == []
        assert runner.open_ports() == []
        left = [p for p in Path("/proc").glob("[0-9]*/cwd") if _leads_to(p, runner.places.home)]
        assert left == []
    finally:
        runner.run("down", "--purge", "--yes")


@pytest.mark.nightly
@pytest.mark.engines
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make an account")
@pytest.mark.skipif(not PUBLIC_PYTHON.exists(), reason="no Python of this version that every account can run")
def test_a_plain_user_runs_it_with_parts_that_he_cannot_write(checkout: Path, parts: Path) -> None:
    """Everything lies below one folder in /tmp: pytest's own folders are closed to others."""
    account, root = "upbit-test", Path("/tmp/upbit-test")
    places = Places(root / "clone", root / "parts", root / "user" / "home")
    subprocess.run(["useradd", "--system", "--no-create-home", account], check=True)
    try:
        shutil.copytree(checkout, places.repository)
        _share(parts, places.parts)
        (root / "user").mkdir()
        shutil.chown(root / "user", account, account)
        environment = {
            "PATH": f"{PUBLIC_PYTHON.parent}:{os.environ['PATH']}",
            "PIPELINE_PARTS": str(places.parts),
            "PIPELINE_HOME": str(places.home),
            "PIPELINE_PORT_OFFSET": str(OFFSET + FURTHER),
        }

        def run(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
            command = [str(places.repository / "pipeline"), *arguments]
            return subprocess.run(
                command, user=account, group=account, extra_groups=[], env={**environment, **settings},
                cwd="/", capture_output=True, text=True, check=False,
            )  # fmt: skip

        began = run("up", "--source", "exchange", "--only", "kafka,postgres,s3,exchange")
        assert began.returncode == 0, began.stdout + began.stderr
        assert {process.username() for process in orphans.find(places)} == {account}
        assert run("down", "--purge", "--yes").returncode == 0
        assert not places.home.exists()
        foreign = run("up", PIPELINE_HOME="/root/home").stderr
        assert foreign.startswith("pipeline: cannot write /root/home/run: Permission denied; set PIPELINE_HOME")
        assert len(foreign.splitlines()) == 1
    finally:
        orphans.end(orphans.find(places))
        shutil.rmtree(root, ignore_errors=True)
        subprocess.run(["userdel", account], check=True)


def _share(parts: Path, target: Path) -> None:
    """Parts as a system-wide installation has them: root's, and on a Python that every account can run."""
    target.mkdir(parents=True)
    for name in ("stamps", "kafka"):
        shutil.copytree(parts / name, target / name)
    (target / "flink").symlink_to((parts / "flink").resolve())
    # Airflow is not started here: that its environment lies there is enough.
    (target / "venvs" / "airflow" / "bin").mkdir(parents=True)
    (target / "venvs" / "airflow" / "bin" / "python").symlink_to(PUBLIC_PYTHON)
    (target / "venvs" / "airflow" / "bin" / "activate").write_text(f"VIRTUAL_ENV={target / 'venvs' / 'airflow'}\n")
    (target / "venvs" / "airflow" / "pyvenv.cfg").write_text(f"version_info = {RUNNING}.0\n")
    for name in ("local", "exchange", "ingester"):
        venv = target / "venvs" / name
        shutil.copytree(parts / "venvs" / name, venv, symlinks=True)
        for link in venv.glob("bin/python*"):
            link.unlink()
            link.symlink_to(PUBLIC_PYTHON)
        settings = venv / "pyvenv.cfg"
        lines = [line for line in settings.read_text().splitlines() if not line.startswith("home")]
        settings.write_text("\n".join([f"home = {PUBLIC_PYTHON.parent}", *lines]))
        activate = venv / "bin" / "activate"
        activate.write_text(activate.read_text().replace(str((parts / "venvs" / name).resolve()), str(venv)))
        for script in venv.glob("bin/*"):
            text = b"" if script.is_symlink() else script.read_bytes()
            if text.startswith(b"#!") and len(text) < 1 << 16:
                script.write_bytes(b"#!" + bytes(venv / "bin" / "python") + b"\n" + text.partition(b"\n")[2])


def _leads_to(link: Path, home: Path) -> bool:
    try:
        return link.readlink().is_relative_to(home)
    except OSError:
        return False


def _until(what: str, holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, f"not in {PATIENCE_S} s: {what}"
        time.sleep(0.02)
