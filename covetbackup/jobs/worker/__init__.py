"""The worker's processes: cluster, supervisor, runner, reaper and hang detection."""
