"""Real clients send 10,000 events each; every one prints what it did.

Usage: clients.py CLIENT ADDRESS TOKEN PORTS FOLDER
"""

import base64
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request

COUNT = 10_000
CLIENT, ADDRESS, TOKEN = sys.argv[1:4]


def event(number):
    return {"client": CLIENT, "number": number, "time": "2026-11-20T08:00:00Z", "message": f"event {number} of {CLIENT}"}


def curl():
    body = "".join(json.dumps(event(number)) + "\n" for number in range(COUNT))
    for coding, pack in (("identity", ["cat"]), ("gzip", ["gzip", "-c"])):
        part = body.splitlines(keepends=True)
        part = "".join(part[: COUNT // 2] if coding == "identity" else part[COUNT // 2 :])
        packed = subprocess.run(pack, input=part.encode(), stdout=subprocess.PIPE, check=True).stdout
        command = ["curl", "-sS", "--fail-with-body", "-H", f"Authorization: Bearer {TOKEN}"]
        command += ["-H", f"Content-Encoding: {coding}", "--data-binary", "@-", f"http://{ADDRESS}/api/v1/ingest"]
        print(subprocess.run(command, input=packed, stdout=subprocess.PIPE, check=True).stdout.decode())


def bulk():
    from elasticsearch import Elasticsearch, helpers

    key = base64.b64encode(f"vigie:{TOKEN}".encode()).decode()
    client = Elasticsearch(f"http://{ADDRESS}", api_key=key)
    actions = ({"_op_type": "create", "_index": "logs", "_source": event(number)} for number in range(COUNT))
    done, errors = helpers.bulk(client, actions, chunk_size=1000)
    assert done == COUNT and not errors, (done, errors)
    print(f"{done} documents")


def hec():
    for first in range(0, COUNT, 1000):
        events = ({"event": event(number), "sourcetype": "test", "time": 1.5} for number in range(first, first + 1000))
        body = "".join(json.dumps(one) for one in events).encode()
        request = urllib.request.Request(f"http://{ADDRESS}/services/collector/event", data=body)
        request.add_header("Authorization", f"Splunk {TOKEN}")
        answer = json.load(urllib.request.urlopen(request))
        assert answer["code"] == 0, answer
    print("10 requests")


def telemetry(module):
    import logging

    from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor

    if module == "http":
        from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter

        exporter = OTLPLogExporter(endpoint=f"http://{ADDRESS}/v1/logs", headers={"authorization": f"Bearer {TOKEN}"})
    else:
        from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter

        exporter = OTLPLogExporter(endpoint=ADDRESS, insecure=True, headers=(("authorization", f"Bearer {TOKEN}"),))
    provider = LoggerProvider()
    provider.add_log_record_processor(BatchLogRecordProcessor(exporter, max_queue_size=COUNT * 2, max_export_batch_size=500))
    logger = logging.getLogger("client")
    logger.setLevel(logging.INFO)
    logger.addHandler(LoggingHandler(logger_provider=provider))
    for number in range(COUNT):
        logger.info(json.dumps(event(number)))
    provider.shutdown()
    print("shut down")


def syslog():
    port, folder = sys.argv[4], sys.argv[5]
    config = os.path.join(folder, "rsyslog.conf")
    source = os.path.join(folder, "log.sock")
    with open(config, "w", encoding="utf-8") as out:
        out.write(
            f'global(workDirectory="{folder}")\n'
            'module(load="imuxsock" SysSock.Use="off")\n'
            f'input(type="imuxsock" Socket="{source}" RateLimit.Interval="0" CreatePath="on")\n'
            f'action(type="omfwd" target="127.0.0.1" port="{port}" protocol="tcp" TCP_Framing="octet-counted"'
            ' template="RSYSLOG_SyslogProtocol23Format" queue.type="LinkedList" action.resumeRetryCount="-1")\n'
        )
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    daemon = subprocess.Popen([shutil.which("rsyslogd", path=path) or "rsyslogd", "-n", "-f", config, "-i", os.path.join(folder, "rsyslog.pid")])
    try:
        until = time.monotonic() + 20
        while not os.path.exists(source) and time.monotonic() < until:
            daemon.poll()
        lines = "".join(f"number={number} client={CLIENT}\n" for number in range(COUNT))
        subprocess.run(["logger", "-u", source, "-t", "tester"], input=lines.encode(), check=True)
        sys.stdin.readline()
    finally:
        daemon.terminate()
        daemon.wait()
    print("forwarded")


if __name__ == "__main__":
    {
        "curl": curl,
        "bulk": bulk,
        "hec": hec,
        "otlp-http": lambda: telemetry("http"),
        "otlp-grpc": lambda: telemetry("grpc"),
        "syslog": syslog,
    }[CLIENT]()
