"""Lists of bounces, complaints and unsubscribes that mail providers keep, read through their APIs."""
