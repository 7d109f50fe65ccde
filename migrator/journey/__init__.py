"""What gives a journey (HubSpot portal, LeadGenius host, client) one sender at a time."""
