"""The web service `campaign listen`: takes unsubscribes and providers' webhooks, and stores them."""
