"""Cost of each unit of work: documents, invocations and messages as Google bills them, and how they grow."""
