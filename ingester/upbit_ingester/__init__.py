"""The ingester: carries every frame of the exchange into Kafka, byte for byte, and loses none on the way."""
