"""Events of mail providers, as their webhooks send them: one module for each provider."""
