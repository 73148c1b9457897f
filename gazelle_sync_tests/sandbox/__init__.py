"""Tests of the sandbox: they ask it over real HTTP on loopback, as a client would."""
