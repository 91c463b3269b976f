"""All engines in memory, in one bundle: what a unit test gives to a procedure of the control plane."""

from __future__ import annotations

from tests.twins.clock import HandClock
from tests.twins.database import DatabaseTwin
from tests.twins.flink import GatewayTwin, JobManagerTwin
from tests.twins.kafka import DeadLettersTwin, KafkaTwin, RecordsTwin
from tests.twins.lake import LakeTwin
from tests.twins.store import StoreTwin
from upbit_lake.contract.model import Contract
from upbit_lake.contract.reader import load_contract
from upbit_lake.contract.settings import Settings
from upbit_lake.engines.engines import Engines

SETTINGS = Settings.from_environment({"S3_ACCESS_KEY": "key", "S3_SECRET_KEY": "secret"})


def twin_engines(contract: Contract | None = None, kafka: KafkaTwin | None = None) -> Engines:
    """A bundle of twins on `contract` (the repository's); `dataclasses.replace` puts another client into it."""
    contract, kafka = contract or load_contract(), kafka or KafkaTwin()
    return Engines(
        contract=contract,
        settings=SETTINGS,
        gateway=GatewayTwin(),
        flink=JobManagerTwin(),
        kafka=kafka,
        offsets=kafka,
        records=lambda: RecordsTwin(kafka),
        dead_letters=DeadLettersTwin(kafka, contract.dead_letter.topic),
        lake=LakeTwin(),
        s3=StoreTwin(),
        db=DatabaseTwin(),
        clock=HandClock(),
    )
