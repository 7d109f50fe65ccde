"""Migrates every HubSpot contact to LeadGenius, once, and can prove it."""

__version__ = "1.0.0"
