"""Tell people: one message object, routes, a durable outbox, and Slack, e-mail and webhook behind it."""
