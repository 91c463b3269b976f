"""All that lies in the spool directory."""
