"""What hosts charge for viewers and flows in a month, by their list prices; the arithmetic of `cost_model`.

Free allowances are not taken off, models' tokens are not in it. What is assumed of hosts and of use
stands here, what our own code takes is measured (`benchmarks.hosting_measured`).
"""

import csv
from dataclasses import dataclass
from pathlib import Path

PRICES = Path(__file__).parent / "data" / "host_prices.csv"
MONTH_SECONDS = 30 * 24 * 3600
MONTH_HOURS, MONTH_MINUTES = MONTH_SECONDS / 3600, MONTH_SECONDS / 60
MILLION, HUNDRED_THOUSAND = 1e6, 1e5

# Use.
WATCHING = 0.2  # of the month, each viewer
VIEWERS_PER_FLOW = 100
STREAM_SECONDS = 55.0  # CREWLINE_STREAM_SECONDS: then the reader comes back
POLL_SECONDS = 2.0  # Retry-After of a flow that runs
MODEL_SECONDS = 30.0  # of a flow: three steps, a model call of 10 s each
PUTS, GETS = 2, 2  # objects of a flow: an input and a result

# Hosts, as serverless.yml, vercel.json and the container's image set them up.
READER_GB, LAUNCH_GB, WORKER_GB = 0.5, 1.0, 2.0
FULL_CPU_GB = 1.769  # with less, AWS Lambda gives so much less of a processor
VERCEL_GB = 2.0
VERCEL_STREAMS = 50  # that share an instance; Vercel says that they do, and not how many
TASK_CPUS, TASK_GB = 0.5, 1.0  # of a container that serves the API
LEAST_TASKS = 2
TASK_LOAD = 0.5  # of its processor, with every viewer there at once
WORKER_CPUS, WORKER_TASK_GB = 1.0, 2.0
QUEUE_POLLS_PER_MINUTE = 15  # of an idle queue by Lambda: five pollers, held for 20 s each
LCU_CONNECTIONS, LCU_NEW_A_SECOND = 3000, 25

Bill = dict[str, float]  # USD a month, by what it is for


@dataclass(frozen=True, slots=True)
class Measured:
    """What our code takes, as it was seen."""

    life_commands: float  # of Redis, for one stream in a process of its own, however long it lives
    flow_minute_commands: float  # for a flow and a minute in a process, however many watch it there
    viewer_cpu: float  # seconds of CPU for a second of one viewer
    viewer_mb: float  # of memory
    viewer_minute_bytes: float  # that a viewer is sent
    poll_ms: float  # of a warm Lambda handler that answers 304
    launch_ms: float  # of one that launches a flow
    sweep_ms: float
    sweep_commands: float
    naive_poll_ms: float  # of CPU, of the naive design
    flow_commands: float  # of a whole flow of three steps, money and texts included
    flow_cpu_seconds: float  # of a warm worker
    cold_seconds: float  # until a cold worker begins


def prices() -> dict[str, float]:
    """Return the list prices in USD, by name."""
    with PRICES.open(encoding="utf-8", newline="") as table:
        return {row["name"]: float(row["usd"]) for row in csv.DictReader(table)}


@dataclass(frozen=True, slots=True)
class Audience:
    """So many viewers, spread evenly over flows and over the month."""

    viewers: int

    @property
    def seconds(self) -> float:
        """The seconds that all watch in a month."""
        return self.viewers * WATCHING * MONTH_SECONDS

    @property
    def at_once(self) -> float:
        """How many watch at a time, on average."""
        return self.viewers * WATCHING

    @property
    def flows_at_once(self) -> float:
        """How many flows are watched at a time."""
        return max(1.0, self.at_once / VIEWERS_PER_FLOW)

    def gigabytes(self, measured: Measured) -> float:
        """What they are sent in a month."""
        return self.seconds / 60 * measured.viewer_minute_bytes / 1e9


class Hosts:
    """The bills of each host."""

    def __init__(self, measured: Measured, usd: dict[str, float]) -> None:
        self._measured, self._usd = measured, usd

    # Viewers, in the way that is each host's default.

    def lambda_streams(self, audience: Audience) -> Bill:
        """AWS Lambda behind a REST API: a stream has a process of its own for as long as it lives."""
        streams = audience.seconds / STREAM_SECONDS
        return {
            "compute": audience.seconds * READER_GB * self._usd["lambda_gb_second"],
            "requests": streams / MILLION * self._request_usd(),
            "redis": self._redis_usd(streams * self._measured.life_commands),
            "traffic": audience.gigabytes(self._measured) * self._usd["aws_gb_out"],
        }

    def lambda_polls(self, audience: Audience) -> Bill:
        """The same with readers that poll as Retry-After says."""
        polls = audience.seconds / POLL_SECONDS
        return {
            "compute": polls * self._lambda_usd(self._measured.poll_ms, READER_GB),
            "requests": polls / MILLION * self._request_usd(),
            "redis": self._redis_usd(polls),
            "traffic": audience.gigabytes(self._measured) * self._usd["aws_gb_out"],
        }

    def vercel_streams(self, audience: Audience) -> Bill:
        """Vercel: instances that many streams share."""
        instances = max(1.0, audience.at_once / VERCEL_STREAMS)
        watched = min(audience.at_once, audience.flows_at_once * instances)
        cpu_hours = audience.seconds * self._measured.viewer_cpu / 3600
        return {
            **self._vercel(audience, instances, cpu_hours),
            "redis": self._redis_usd(watched * self._measured.flow_minute_commands * MONTH_MINUTES),
        }

    def container_streams(self, audience: Audience) -> Bill:
        """Containers behind a load balancer, for every viewer at once."""
        cpus = audience.viewers * self._measured.viewer_cpu / TASK_LOAD
        gigabytes = audience.viewers * self._measured.viewer_mb / 1000
        tasks = max(LEAST_TASKS, -(-cpus // TASK_CPUS), -(-gigabytes // (TASK_GB * TASK_LOAD)))
        watched = audience.flows_at_once * tasks
        return {
            "compute": self._tasks_usd(tasks, TASK_CPUS, TASK_GB),
            "balancer": self._balancer_usd(audience),
            "redis": self._redis_usd(watched * self._measured.flow_minute_commands * MONTH_MINUTES),
            "traffic": audience.gigabytes(self._measured) * self._usd["aws_gb_out"],
        }

    # The naive design: a function streams to one viewer, and asks Redis each second.

    def naive_lambda(self, audience: Audience) -> Bill:
        """On AWS Lambda: the time is the same as ours, the commands are not."""
        return self.lambda_streams(audience) | {"redis": self._redis_usd(audience.seconds)}

    def naive_vercel(self, audience: Audience) -> Bill:
        """On Vercel, sharing instances as ours do, unless the processor takes more of them."""
        cpu_hours = audience.seconds * self._measured.naive_poll_ms / 1000 / 3600
        instances = max(1.0, audience.at_once / VERCEL_STREAMS, cpu_hours / MONTH_HOURS)
        redis = {"redis": self._redis_usd(audience.seconds)}
        return self._vercel(audience, instances, cpu_hours) | redis

    # Flows.

    def lambda_flows(self, flows: int) -> Bill:
        """API Gateway, SQS and Lambda; each flow meets a worker that is cold."""
        seconds = MODEL_SECONDS + self._measured.flow_cpu_seconds + self._measured.cold_seconds
        sweeps, queue = MONTH_MINUTES, QUEUE_POLLS_PER_MINUTE * MONTH_MINUTES
        launch = self._lambda_usd(self._measured.launch_ms, LAUNCH_GB)
        sweep = self._lambda_usd(self._measured.sweep_ms, READER_GB)
        requests = (self._request_usd() + self._usd["lambda_million_requests"]) / MILLION
        return {
            "worker": flows * seconds * WORKER_GB * self._usd["lambda_gb_second"],
            "api": flows * (launch + requests),
            "queue": (3 * flows + queue) / MILLION * self._usd["sqs_million_requests"],
            "sweep": sweeps * (sweep + self._usd["lambda_million_requests"] / MILLION),
            "redis": self._flow_redis_usd(flows),
            "objects": self._objects_usd(flows),
        }

    def vercel_flows(self, flows: int) -> Bill:
        """Vercel, woken by QStash; each flow meets a worker that is cold."""
        cpu = self._measured.flow_cpu_seconds + self._measured.cold_seconds
        cpu_hours = flows * (cpu + self._measured.launch_ms / 1000) / 3600
        gb_hours = flows * (MODEL_SECONDS + cpu) * VERCEL_GB / 3600
        requests = (2 * flows + MONTH_MINUTES) / MILLION
        return {
            "plan": self._usd["vercel_pro_month"],
            "compute": cpu_hours * self._usd["vercel_cpu_hour"]
            + gb_hours * self._usd["vercel_gb_hour"],
            "requests": requests * self._vercel_request_usd(),
            "queue": flows / HUNDRED_THOUSAND * self._usd["qstash_100k_messages"],
            "redis": self._flow_redis_usd(flows),
            "objects": self._objects_usd(flows),
        }

    def container_flows(self, flows: int) -> Bill:
        """A worker that stays, and the API beside it."""
        places = 16  # CREWLINE_WORKER_FLOWS, flows that a process runs at once
        cpus = flows * self._measured.flow_cpu_seconds / MONTH_SECONDS
        workers = max(1.0, -(-flows * MODEL_SECONDS // (places * MONTH_SECONDS)), -(-cpus // 1))
        return {
            "worker": self._tasks_usd(workers, WORKER_CPUS, WORKER_TASK_GB),
            "api": self._tasks_usd(LEAST_TASKS, TASK_CPUS, TASK_GB),
            "balancer": MONTH_HOURS * (self._usd["alb_hour"] + self._usd["alb_lcu_hour"]),
            "redis": self._flow_redis_usd(flows),
            "objects": self._objects_usd(flows),
        }

    # Parts of bills.

    def _lambda_usd(self, milliseconds: float, gigabytes: float) -> float:
        """Return what one invocation's time costs, which is longer the less memory it has."""
        slower = max(1.0, FULL_CPU_GB / gigabytes)
        billed_ms = -(-milliseconds * slower // 1)
        return billed_ms / 1000 * gigabytes * self._usd["lambda_gb_second"]

    def _request_usd(self) -> float:
        """Return what a million requests to a Lambda function cost beside its time."""
        return self._usd["lambda_million_requests"] + self._usd["rest_api_million_requests"]

    def _vercel_request_usd(self) -> float:
        return self._usd["vercel_million_invocations"] + self._usd["vercel_million_edge_requests"]

    def _vercel(self, audience: Audience, instances: float, cpu_hours: float) -> Bill:
        gb_hours = instances * VERCEL_GB * MONTH_HOURS
        return {
            "plan": self._usd["vercel_pro_month"],
            "compute": cpu_hours * self._usd["vercel_cpu_hour"]
            + gb_hours * self._usd["vercel_gb_hour"],
            "requests": audience.seconds / STREAM_SECONDS / MILLION * self._vercel_request_usd(),
            "traffic": audience.gigabytes(self._measured) * self._usd["vercel_gb_out"],
        }

    def _tasks_usd(self, tasks: float, cpus: float, gigabytes: float) -> float:
        hour = cpus * self._usd["fargate_vcpu_hour"] + gigabytes * self._usd["fargate_gb_hour"]
        return tasks * MONTH_HOURS * hour

    def _balancer_usd(self, audience: Audience) -> float:
        units = max(
            1.0,
            audience.at_once / LCU_CONNECTIONS,
            audience.at_once / STREAM_SECONDS / LCU_NEW_A_SECOND,
        )
        return MONTH_HOURS * (self._usd["alb_hour"] + units * self._usd["alb_lcu_hour"])

    def _redis_usd(self, commands: float) -> float:
        return commands / HUNDRED_THOUSAND * self._usd["upstash_100k_commands"]

    def _flow_redis_usd(self, flows: int) -> float:
        swept = MONTH_MINUTES * self._measured.sweep_commands
        return self._redis_usd(flows * self._measured.flow_commands + swept)

    def _objects_usd(self, flows: int) -> float:
        puts, gets = self._usd["s3_thousand_puts"], self._usd["s3_thousand_gets"]
        return flows / 1000 * (PUTS * puts + GETS * gets)
