"""What a message that came back says: bounces, complaints, unsubscribes, automatic replies."""
