"use strict";

// A link to the sign-up may carry the invitation behind its #, which a browser sends to nobody. It moves into the form,
// and out of the address, so that it is not copied or kept with it.
const invitation = new URLSearchParams(location.hash.slice(1)).get("invitation");
if (invitation) {
  document.querySelector("[data-invited] [name=invitation]").value = invitation;
  history.replaceState(null, "", location.pathname);
  document.querySelector("[data-invited] [name=name]").focus();
}
