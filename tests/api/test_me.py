from tests.api.world import Person, problem


def test_me_says_who_is_calling(world, alice):
    me = alice.get("/me").json

    assert me.pop("created_at").endswith("Z")
    assert me == {
        "uid": alice.uid,
        "email": "alice@example.com",
        "email_verified": True,
        "display_name": "Alice",
        "is_anonymous": False,
        "roles": [],
        "status": "active",
        "welcome_bonus": {"offer": "1000", "claimed_at": None},
        "account": {"status": "open", "available": "10", "held": "0", "debt": "0"},
    }


def test_me_says_what_was_offered_and_claimed(world, alice):
    alice.get("/me")
    world.services.users.greeting.greet(alice.uid)
    alice.post("/credits/welcome-bonus")

    bonus = alice.get("/me").json["welcome_bonus"]

    assert bonus["offer"] == "1000"
    assert bonus["claimed_at"].endswith("Z")


def test_a_guest_is_a_user_too(world):
    me = world.guest().get("/me").json

    assert (me["is_anonymous"], me["email"]) == (True, None)
    assert me["welcome_bonus"] == {"offer": None, "claimed_at": None}


def test_a_guest_is_offered_the_bonus_once_an_address_is_added(world):
    guest = world.guest()
    guest.get("/me")
    world.services.users.greeting.greet(guest.uid)

    world.identity.link_email(guest.uid, "ann@example.com", is_email_verified=False)

    linked = Person(world=world, uid=guest.uid, token=world.identity.token(guest.uid))
    assert linked.get("/me").json["welcome_bonus"] == {"offer": "1000", "claimed_at": None}


def test_operators_see_their_roles(admin):
    assert admin.get("/me").json["roles"] == ["admin"]


def test_who_leaves_is_gone(world, alice):
    alice.post("/chat/conversations", {"message": "Hello"})

    left = alice.call("DELETE", "/me")

    assert (left.status_code, left.get_data()) == (204, b"")
    assert problem(alice.get("/me")) == (403, "account_closed")
    assert world.services.credits.ledger.balance(alice.uid).status == "closed"
    assert world.services.chat.conversations.list(alice.uid).items == ()
    assert world.identity.existing([alice.uid]) == frozenset()


def test_who_has_left_may_say_so_again(world, alice):
    alice.call("DELETE", "/me")

    assert alice.call("DELETE", "/me").status_code == 204


def test_who_was_never_seen_may_leave_too(world):
    uid = world.identity.sign_up("new@example.com")
    stranger = Person(world=world, uid=uid, token=world.identity.token(uid))

    assert stranger.call("DELETE", "/me").status_code == 204
