"""Status of this installation: its components, workers and disks. Nothing is changed from here."""
