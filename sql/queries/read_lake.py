"""Reads the lake from outside with `pip install pypaimon-rust pyarrow`: no JVM, no Flink, no part of this pipeline.

S3_ENDPOINT, S3_ACCESS_KEY and S3_SECRET_KEY are what `./pipeline up` prints. Only read: a commit through this catalog
takes no lock and can lose others' commits.
"""

import os

import pyarrow as pa
from pypaimon_rust.datafusion import SQLContext

lake = SQLContext()
options = {
    "warehouse": os.environ.get("WAREHOUSE", "s3://paimon/warehouse"),
    "s3.endpoint": os.environ.get("S3_ENDPOINT", "http://127.0.0.1:18333"),
    "s3.access-key": os.environ.get("S3_ACCESS_KEY", ""),
    "s3.secret-key": os.environ.get("S3_SECRET_KEY", ""),
    "s3.region": "us-east-1",
    "s3.path-style-access": "true",
}
# The empty default database: naming one here would create it when it is missing.
lake.register_catalog("lake", options, "")

batches = lake.sql("SELECT code, count(*) AS trades FROM lake.upbit.trade GROUP BY code ORDER BY trades DESC LIMIT 10")
print(pa.Table.from_batches(batches).to_pylist() if batches else "no trades yet")
