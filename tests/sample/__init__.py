"""`make run`: the dashboard with two sample databases to try it on."""
