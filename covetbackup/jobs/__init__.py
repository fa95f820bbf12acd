"""Long work: the `Job` row is the queue, django-q2 only the doorbell.

q2 delivers at least once and knows nothing of liveness, so a task is a hint ("look at job 123")
that may be lost, late or delivered ten times. Hence its settings: `retry` and `timeout` serve
short tasks and undelivered hints only (job hints are sent with timeout -1); `ack_failures` and
`max_attempts` 1 because retries with back-off are ours; `queue_limit` and `bulk` 1 so that a busy
host hoards no hints; `guard_cycle` a dyadic fraction below 3 s, or q2's hard kill never fires.
"""
