"""PayPal: Orders v2 through its SDK's transport, hardened, and its webhook signatures verified offline."""
