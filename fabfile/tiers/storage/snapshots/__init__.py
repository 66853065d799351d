"""Snapshots of the uploads: a program that runs on storage servers, with what Debian has."""
