// Signs in against Firebase Auth, or the laptop's emulator of it, by its REST API: the token goes with every try.
"use strict";
(() => {
  const REFRESH_BEFORE_MS = 5 * 60_000;
  const SENTENCES = {
    EMAIL_NOT_FOUND: "Nobody has signed up with this address. Choose “Sign up”.",
    INVALID_LOGIN_CREDENTIALS: "The address or the password is wrong.",
    INVALID_PASSWORD: "The password is wrong.",
    EMAIL_EXISTS: "This address has signed up already. Choose “Sign in”.",
    WEAK_PASSWORD: "The password needs at least six characters.",
    OPERATION_NOT_ALLOWED: "This project does not let people sign in with a password.",
  };
  // Users of a laptop that `make run` has started; nowhere else does anybody have these addresses.
  const LAPTOP = { user: "ann@example.com", operator: "olga@example.com", password: "correct horse battery staple" };
  const form = document.getElementById("sign-in");
  const signedIn = document.getElementById("signed-in");
  const says = document.getElementById("sign-in-says");
  let config = null;
  let session = null;
  let hint = "";

  async function settings() {
    config ??= await (await fetch(new URL("playground/config.json", window.location.href))).json();
    return config;
  }

  async function ask(service, path, body) {
    const { auth_emulator: emulator, api_key: key } = await settings();
    const base = emulator ? `http://${emulator}/${service}` : `https://${service}`;
    const response = await fetch(`${base}/v1/${path}?key=${encodeURIComponent(key)}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
    const told = await response.json();
    if (!response.ok) throw new Error(told.error?.message ?? String(response.status));
    return told;
  }

  function keep(email, token, refresh, seconds) {
    session = { email, token, refresh, until: Date.now() + Number(seconds) * 1000 };
    form.hidden = true;
    signedIn.hidden = false;
    signedIn.querySelector("span").textContent = `Signed in as ${email}`;
    says.textContent = "";
  }

  function leave(sentence) {
    session = null;
    form.hidden = false;
    signedIn.hidden = true;
    says.textContent = sentence || hint;
  }

  // On a laptop, fills in the user who owns all that the examples name.
  async function offerExampleUser() {
    if (!(await settings()).auth_emulator) return;
    form.elements.email.defaultValue = LAPTOP.user;
    form.elements.password.defaultValue = LAPTOP.password;
    hint = `On this laptop ${LAPTOP.user} owns what the examples name, and ${LAPTOP.operator} is the operator. `
      + `Password of both: ${LAPTOP.password}`;
    if (!session) says.textContent ||= hint;
  }

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const { email, password } = Object.fromEntries(new FormData(form));
    const act = event.submitter?.value === "up" ? "accounts:signUp" : "accounts:signInWithPassword";
    says.textContent = "Signing in …";
    try {
      const told = await ask("identitytoolkit.googleapis.com", act, { email, password, returnSecureToken: true });
      form.reset();
      keep(email, told.idToken, told.refreshToken, told.expiresIn);
    } catch (error) {
      const code = error.message.split(/[ :]/)[0];
      leave(SENTENCES[code] ?? `Signing in failed: ${error.message}.`);
    }
  });

  signedIn.querySelector("button").addEventListener("click", () => leave(""));

  offerExampleUser();

  // The token of whoever is signed in, refreshed before it ends; null if nobody is.
  window.signedInToken = async () => {
    if (session && session.until - Date.now() < REFRESH_BEFORE_MS) {
      try {
        const told = await ask("securetoken.googleapis.com", "token", {
          grant_type: "refresh_token",
          refresh_token: session.refresh,
        });
        keep(session.email, told.id_token, told.refresh_token, told.expires_in);
      } catch {
        leave("Your session has ended. Sign in again.");
      }
    }
    return session?.token ?? null;
  };
})();
