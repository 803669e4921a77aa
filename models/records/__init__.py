"""What is kept of every chat: messages, their parts, and the files they carry. No Qt."""
