"""Rendered configuration of the engines, and the decisions behind it."""

from __future__ import annotations

import os
import re
import shutil
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from local.errors import PipelineError
from local.home.places import Places
from local.home.ports import Ports
from local.home.setting import Setting
from local.home.source import Source
from local.parts import assembly, exchange, flink, ingester, kafka, postgres
from local.software import java
from upbit_lake.contract.reader import load_contract


def _properties(setting: Setting, node: int) -> dict[str, str]:
    files = kafka.parts(setting)[node - 1].files
    text = next(text for path, text in files.items() if path.suffix == ".properties")
    return dict(line.split("=", 1) for line in text.splitlines() if line and not line.startswith("#"))


def test_flink_listens_on_this_machine_only_and_takes_no_jobs_from_the_web(setting: Setting) -> None:
    config = yaml.safe_load(flink.config(setting))
    assert config["rest.port"] == setting.ports["flink_rest"]
    assert config["s3.endpoint"] == setting.ports.url("s3")
    assert {config[key] for key in config if key.endswith(("bind-host", "bind-address"))} == {"127.0.0.1"}
    assert (config["web.submit.enable"], config["web.cancel.enable"]) == (False, False)


def test_flinks_temporary_files_lie_where_down_removes_them(setting: Setting) -> None:
    config = yaml.safe_load(flink.config(setting))
    assert config["io.tmp.dirs"] == str(setting.places.short_run / "flink")
    assert f"-Djava.io.tmpdir={config['io.tmp.dirs']} " in config["env.java.opts.all"]


@pytest.mark.parametrize(("parallelism", "slots"), [(3, [2, 2]), (4, [3, 2]), (5, [3, 3])])
def test_each_streaming_job_has_its_slots_and_batch_work_has_one(parallelism: int, slots: list[int]) -> None:
    assert list(flink.slots_of_task_managers(parallelism).values()) == slots


def test_a_task_manager_starts_with_the_slots_that_the_contract_wants(setting: Setting) -> None:
    (one,) = (part for part in flink.parts(setting) if part.name == flink.TASK_MANAGERS[0])
    slots = flink.slots_of_task_managers(sum(job.parallelism for job in load_contract().jobs.values()))
    assert f"-Dtaskmanager.numberOfTaskSlots={slots[one.name]}" in one.command


def test_flinks_template_leaves_no_hole(setting: Setting) -> None:
    assert "${" not in flink.config(setting)


def test_each_broker_has_its_own_place_and_knows_all_three(setting: Setting) -> None:
    nodes = [_properties(setting, node) for node in kafka.NODES]
    assert len({node["log.dirs"] for node in nodes}) == 3
    assert len({node["controller.quorum.voters"] for node in nodes}) == 1
    assert [node["node.id"] for node in nodes] == ["1", "2", "3"]
    for node in nodes:
        assert set(re.findall(r"//([\d.]+):", node["listeners"])) == {"127.0.0.1"}
        assert (node["min.insync.replicas"], node["unclean.leader.election.enable"]) == ("2", "false")
        assert node["auto.create.topics.enable"] == "false"


def test_a_broker_asks_for_a_login_and_allows_only_what_a_rule_allows(setting: Setting) -> None:
    for node in (_properties(setting, node) for node in kafka.NODES):
        protocols = dict(pair.split(":") for pair in node["listener.security.protocol.map"].split(","))
        listeners = {listener.split(":")[0] for listener in node["listeners"].split(",")}
        assert set(protocols) == listeners
        assert set(protocols.values()) == {"SASL_PLAINTEXT"}
        assert node["authorizer.class.name"] == "org.apache.kafka.metadata.authorizer.StandardAuthorizer"
        assert node["allow.everyone.if.no.acl.found"] == "false"
        assert node["super.users"] == "User:broker"


def test_a_brokers_own_password_is_the_only_one_in_its_configuration(setting: Setting) -> None:
    for number in kafka.NODES:
        node = _properties(setting, number)
        assert set(re.findall(r"user_(\w+)=", str(node))) == {"broker"}
        assert set(re.findall(r"secret-\w+", str(node))) == {"secret-kafka_broker_password"}


def test_each_part_holds_no_login_to_kafka_but_its_own(setting: Setting) -> None:
    held = {
        name: set(re.findall(r"secret-kafka_(\w+)_password", f"{part.command}{part.environment}{part.files}"))
        for name, part in assembly.parts(setting).items()
    }
    flinks = ("jobmanager", "taskmanager-1", "taskmanager-2", "gateway")
    wanted = {name: {"flink"} for name in flinks} | {name: {"broker"} for name in kafka.NAMES}
    wanted |= {name: {"airflow"} for name in held if name.startswith("airflow-")} | {"ingester": {"ingester"}}
    assert {name: logins for name, logins in held.items() if logins} == wanted


def test_no_password_stands_on_a_command_line(setting: Setting) -> None:
    commands = {name: str(part.command) for name, part in assembly.parts(setting).items()}
    assert not [name for name, command in commands.items() if re.search(r"secret-\w+_password", command)]


def test_each_login_of_flinks_stands_in_a_file_of_its_own_and_not_among_its_settings(setting: Setting) -> None:
    text = flink.config(setting)
    assert "_password" not in text
    (kafka_login,) = re.findall(r"-Djava.security.auth.login.config=(\S+)", text)
    (catalog_login,) = re.findall(r"-Dorg.postgresql.pgpassfile=(\S+)", text)
    for part in flink.parts(setting):
        assert 'username="flink"' in part.files[Path(kafka_login)]
        assert 'password="secret-kafka_flink_password"' in part.files[Path(kafka_login)]
        assert "\n*:*:*:paimon:secret-paimon_db_password\n" in part.files[Path(catalog_login)]


def test_kafka_is_given_a_password_for_each_principal_of_the_contract(setting: Setting) -> None:
    principals = tomllib.loads(setting.contract.read_text(encoding="utf-8"))["access"]
    assert set(kafka.SERVICES) == set(principals)
    assert all(setting.kafka_password(name) for name in principals)


def test_a_path_with_korean_letters_is_read_by_kafka_as_it_is(setting: Setting, tmp_path: Path) -> None:
    """Java reads a .properties file as Latin-1 and understands \\uXXXX."""
    places = replace(setting.places, home=tmp_path / "집 é 𝄞")
    written = _properties(replace(setting, places=places), 1)["log.dirs"]
    assert written.isascii()
    read = written.encode("latin-1").decode("unicode_escape").encode("utf-16", "surrogatepass").decode("utf-16")
    assert read == str(places.data / "kafka-1")


def test_the_largest_frame_fits_a_broker_and_its_followers(setting: Setting) -> None:
    node = _properties(setting, 1)
    assert int(node["message.max.bytes"]) > 8 * 2**20
    assert node["replica.fetch.max.bytes"] == node["message.max.bytes"]


def test_a_moved_port_changes_those_who_use_it(setting: Setting) -> None:
    def texts(of: Setting) -> dict[str, str]:
        return {n: f"{p.command}{p.environment}{p.files}" for n, p in assembly.parts(of).items()}

    moved = replace(setting, ports=Ports.choose({"PIPELINE_PORT_EXCHANGE": "18999"}))
    before, after = texts(setting), texts(moved)
    assert {name for name in before if before[name] != after[name]} == {"exchange", "ingester"}
    moved = replace(setting, ports=Ports.choose({"PIPELINE_PORT_KAFKA_1": "18999"}))
    after = texts(moved)
    changed = {name for name in before if before[name] != after[name]}
    assert changed >= {"kafka-1", "jobmanager", "ingester", "airflow-scheduler"}
    assert not changed & {"kafka-2", "kafka-3", "s3", "postgres", "exchange"}


def test_what_a_user_gives_to_the_ingester_reaches_it_and_never_moves_it(setting: Setting) -> None:
    given = {"UPBIT_STREAMS": "trade", "UPBIT_STRAEMS": "typo", "INGESTER_HTTP_PORT": "1"}
    environment = ingester.part(replace(setting, ingester=given)).environment
    assert (environment["UPBIT_STREAMS"], environment["UPBIT_STRAEMS"]) == ("trade", "typo")
    assert environment["INGESTER_HTTP_PORT"] == str(setting.ports["ingester"])


def test_nothing_tells_the_ingester_which_exchange_it_reads_but_the_url(setting: Setting) -> None:
    local, live = (ingester.part(replace(setting, source=Source(kind))).environment for kind in ("exchange", "live"))
    assert {name for name in local if local[name] != live.get(name)} == {"UPBIT_WEBSOCKET_URL", "UPBIT_REST_URL"}
    assert live["UPBIT_WEBSOCKET_URL"].startswith("wss://")
    assert set(local) == set(live)


def test_a_recording_is_played_as_it_was_recorded(setting: Setting) -> None:
    part = exchange.part(replace(setting, source=Source("file", path="/data/a b.jsonl", speed=4)))
    command = list(part.command)
    assert command[command.index("--replay") + 1] == "/data/a b.jsonl"
    assert command[command.index("--speed") + 1] == "4"
    assert "--start" not in command


def test_the_ledger_is_bounded_unless_the_user_says_otherwise(setting: Setting) -> None:
    def kept(**market: str) -> str:
        return exchange.part(replace(setting, source=Source("exchange", market=market))).environment[name]

    name = "EXCHANGE_LEDGER_KEEP_GB"
    assert float(kept()) > 0
    assert kept(EXCHANGE_LEDGER_KEEP_GB="0") == "0"


def test_the_live_source_has_no_local_exchange(setting: Setting) -> None:
    assert "exchange" not in assembly.parts(replace(setting, source=Source("live")))


def test_parts_are_chosen_with_all_that_they_need(setting: Setting) -> None:
    known = assembly.parts(setting)
    assert assembly.expand(["airflow-scheduler"], known) == ["postgres", "airflow-api", "airflow-scheduler"]
    assert assembly.expand(["airflow-dags"], known) == ["postgres", "airflow-api", "airflow-dags"]
    assert assembly.expand(["kafka"], known) == list(kafka.NAMES)
    assert assembly.expand(["ingester"], known) == ["exchange", "ingester"]
    assert [name for name, part in known.items() if not set(part.needs) <= set(known)] == []


@pytest.mark.parametrize(
    ("text", "major"),
    [
        ('IMPLEMENTOR="Debian"\nJAVA_RUNTIME_VERSION="17.0.9+9"\nJAVA_VERSION="17.0.9"\n', 17),
        ('JAVA_VERSION="21"', 21),
        ('JAVA_VERSION="1.8.0_392"', 8),
        ("", 0),
    ],
)
def test_javas_major_version(text: str, major: int) -> None:
    assert java.major_of(text) == major


def _java(home: Path, version: str) -> Path:
    """A Java home on paper; returns its `java`."""
    (home / "bin").mkdir(parents=True)
    (home / "release").write_text(f'JAVA_VERSION="{version}"\n')
    (home / "bin" / "java").touch(mode=0o755)
    return home / "bin" / "java"


@pytest.mark.parametrize(("version", "taken"), [("11.0.2", False), ("17.0.9", True), ("21", True), ("24.0.1", False)])
def test_only_a_java_that_hadoop_can_use_is_taken(tmp_path: Path, version: str, taken: bool) -> None:
    found = _java(tmp_path / "jdk", version)
    for environment in ({"JAVA_HOME": str(tmp_path / "jdk"), "PATH": ""}, {"PATH": str(found.parent)}):
        assert java.system_home(environment) == (tmp_path / "jdk" if taken else None)


def test_a_version_managers_shim_is_no_java(tmp_path: Path) -> None:
    """As asdf and jenv have it: a script in `shims`, nothing in `bin`."""
    shim = tmp_path / ".asdf" / "shims" / "java"
    shim.parent.mkdir(parents=True)
    shim.touch(mode=0o755)
    (tmp_path / ".asdf" / "release").write_text('JAVA_VERSION="17.0.9"')
    assert java.system_home({"PATH": str(shim.parent)}) is None
    newer = _java(tmp_path / "new", "25")
    older = _java(tmp_path / "old", "17")
    assert java.system_home({"JAVA_HOME": str(newer.parent.parent), "PATH": str(older.parent)}) == tmp_path / "old"


@pytest.fixture
def unreachable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    """A home and parts below a folder that only root enters, as root sees them."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(postgres, "STATE", tmp_path / "state")
    closed = tmp_path / "root"
    closed.mkdir(mode=0o700)
    repository = Path(__file__).resolve().parents[4]
    return Places(repository, closed / "parts", closed / "home")


def test_under_root_the_database_goes_where_its_account_can_go(unreachable: Places, tmp_path: Path) -> None:
    assert postgres.data_folder(unreachable).is_relative_to(tmp_path / "state")
    assert postgres.binaries_folder(unreachable).is_relative_to(tmp_path / "state")


def test_a_plain_user_keeps_everything_in_the_home(unreachable: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert postgres.data_folder(unreachable) == unreachable.data / "postgres"
    assert postgres.binaries_folder(unreachable).is_relative_to(unreachable.parts)


def test_a_database_stays_where_it_is(unreachable: Places) -> None:
    """Else a changed mode of some folder above would hide the lake's catalog behind an empty database."""
    outside = postgres.data_folder(unreachable)
    inside = unreachable.data / "postgres"
    inside.mkdir(parents=True)
    assert postgres.data_folder(unreachable) == inside
    inside.rmdir()
    outside.mkdir(parents=True)
    postgres._made(unreachable).write_text(str(outside))
    unreachable.home.parent.chmod(0o755)
    assert postgres.data_folder(unreachable) == outside


@pytest.fixture
def on_paper(unreachable: Places, setting: Setting, monkeypatch: pytest.MonkeyPatch) -> Setting:
    """initdb and the copy of its binaries leave an empty folder."""
    monkeypatch.setattr(postgres, "initdb", lambda *given: given[1].mkdir(parents=True))
    monkeypatch.setattr(postgres, "copy_binaries", lambda *_: None)
    return replace(setting, places=unreachable)


def test_a_database_of_a_removed_home_is_not_taken_for_this_ones(on_paper: Setting, unreachable: Places) -> None:
    data = postgres.data_folder(unreachable)
    postgres._initialise(on_paper)
    (data / "PG_VERSION").touch()
    postgres._initialise(on_paper)
    assert (data / "PG_VERSION").exists(), "a second start keeps it"
    shutil.rmtree(unreachable.home)
    postgres._initialise(on_paper)
    assert not (data / "PG_VERSION").exists()


def test_a_home_without_its_database_is_refused(on_paper: Setting, unreachable: Places) -> None:
    postgres._initialise(on_paper)
    shutil.rmtree(postgres.data_folder(unreachable))
    with pytest.raises(PipelineError, match=r"state/.*postgres is gone, its home needs it .*: move both back"):
        postgres._initialise(on_paper)


def test_a_purge_removes_what_lies_outside(unreachable: Places) -> None:
    outside = postgres.data_folder(unreachable)
    outside.mkdir(parents=True)
    postgres.purge(unreachable)
    assert not outside.parent.exists()


def test_two_homes_have_two_places_outside(unreachable: Places) -> None:
    other = replace(unreachable, home=unreachable.home.with_name("other"))
    assert postgres.data_folder(unreachable) != postgres.data_folder(other)
