"""Tests of the map: every clever way has a plain twin here."""
