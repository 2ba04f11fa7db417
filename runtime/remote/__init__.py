"""Devices over the system's OpenSSH: one connection, a lock, a folder that goes away, and what runs in it."""

from nascc.runtime.remote.address import Address
from nascc.runtime.remote.link import Completed, Link, Opened
from nascc.runtime.remote.ssh import Ssh

__all__ = ["Address", "Completed", "Link", "Opened", "Ssh"]
