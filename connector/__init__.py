"""Carries HR files to Microsoft Entra ID's API-driven inbound provisioning, with every row accounted for."""
