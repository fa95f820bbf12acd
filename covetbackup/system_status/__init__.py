"""What this installation is made of and how it does: read and shown, never changed from here."""
