"""Persons' tokens: what is signed is read again, and nothing else is."""

import base64
import hmac
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import ConfigError
from serving.access.tokens import CLOCK_SKEW, MOST_SECONDS, Token, TokenError, Tokens, tokens_from

SECRET, OTHER = "s" * 32, "o" * 32
NOW = 1_767_225_600
TOKEN = Token("żółć 🦜", "v-7", "0123456789ab", ("recommend", "events", "person"), NOW, NOW + 900)
CLAIMS = {"iss": "0123456789ab", "sub": "ann", "scope": "recommend", "iat": NOW, "exp": NOW + 900}


def signed(claims: Any, header: Any = None, secret: str = SECRET) -> str:
    """A JSON Web Token as any library would make it."""
    parts = [header or {"typ": "JWT", "alg": "HS256"}, claims]
    text = ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts)
    signature = base64.urlsafe_b64encode(hmac.digest(secret.encode(), text.encode(), "sha256")).rstrip(b"=").decode()
    return f"{text}.{signature}"


def test_a_token_comes_back_as_it_was() -> None:
    tokens = Tokens([SECRET])
    assert tokens.read(tokens.sign(TOKEN), NOW) == TOKEN


def test_the_signature_is_that_of_the_standard() -> None:
    """RFC 7515, appendix A.1: its key and its token, whose claims are not ours; so only the claims are refused."""
    key = base64.urlsafe_b64decode(
        "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow=="
    )
    token = (
        "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLm"
        "NvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    )
    tokens = Tokens([SECRET])
    tokens._secrets = [key]
    with pytest.raises(TokenError, match="names no person"):
        tokens.read(token, 0)
    with pytest.raises(TokenError, match="the token is not valid"):
        tokens.read(token[:-1] + "A", 0)


def test_a_token_of_any_library_is_read() -> None:
    assert Tokens([SECRET]).read(signed(CLAIMS), NOW).user_id == "ann"
    assert Tokens([SECRET]).read(signed({**CLAIMS, "jti": "more"}), NOW).scopes == ("recommend",)


def test_a_new_secret_comes_before_the_old_one_goes() -> None:
    old, both = Tokens([SECRET]), Tokens([OTHER, SECRET])
    assert both.read(old.sign(TOKEN), NOW) == TOKEN
    assert Tokens([OTHER]).read(both.sign(TOKEN), NOW) == TOKEN
    with pytest.raises(TokenError, match="not valid"):
        Tokens([OTHER]).read(old.sign(TOKEN), NOW)
    with pytest.raises(TokenError, match="not valid"):
        Tokens().read(old.sign(TOKEN), NOW)


@given(st.data())
def test_a_changed_token_is_refused(data: st.DataObject) -> None:
    """Any one character: but for the last of a signature, of which base64 ignores two bits."""
    text = Tokens([SECRET]).sign(TOKEN)
    place = data.draw(st.integers(0, len(text) - 2))
    other = data.draw(st.characters(max_codepoint=255).filter(lambda one: one != text[place]))
    with pytest.raises(TokenError):
        Tokens([SECRET]).read(text[:place] + other + text[place + 1 :], NOW)


BAD = {
    "no algorithm": (signed(CLAIMS, {"alg": "none"}), "not valid"),
    "no signature": (signed(CLAIMS, {"alg": "none"}).rpartition(".")[0] + ".", "not valid"),
    "another algorithm": (signed(CLAIMS, {"alg": "RS256"}), "not valid"),
    "an extension": (signed(CLAIMS, {"alg": "HS256", "crit": ["b64"]}), "not valid"),
    "no object": (signed([1]), "not valid"),
    "too many parts": (signed(CLAIMS) + ".x", "not valid"),
    "no token": ("hello", "not valid"),
    "nothing": ("", "not valid"),
    "a very long one": (signed({**CLAIMS, "more": "x" * 5_000}), "not valid"),
    "nobody": (signed({**CLAIMS, "sub": None}), "names no person"),
    "an empty name": (signed({**CLAIMS, "sub": ""}), "names no person"),
    "a number": (signed({**CLAIMS, "sub": 7}), "names no person"),
    "no key": (signed({**CLAIMS, "iss": None}), "lacks `iss`"),
    "no scope": (signed({**CLAIMS, "scope": ["recommend"]}), "`scope`"),
    "no end": (signed({**CLAIMS, "exp": None}), "lacks `iat` or `exp`"),
    "an end that is true": (signed({**CLAIMS, "exp": True}), "lacks `iat` or `exp`"),
    "expired": (signed({**CLAIMS, "iat": NOW - 900, "exp": NOW}), "has expired"),
    "of tomorrow": (signed({**CLAIMS, "iat": NOW + CLOCK_SKEW + 1, "exp": NOW + 3_000}), "lives longer"),
    "long-lived": (signed({**CLAIMS, "exp": NOW + MOST_SECONDS + 1}), "lives longer"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_token_is_refused(case: str) -> None:
    text, message = BAD[case]
    with pytest.raises(TokenError, match=message):
        Tokens([SECRET]).read(text, NOW)


def test_a_token_is_never_good_for_more_than_its_person_may() -> None:
    token = Tokens([SECRET]).read(signed({**CLAIMS, "scope": "admin catalogue recommend root"}), NOW)
    assert token.scopes == ("recommend",)


def test_secrets_come_from_the_environment_or_a_file(tmp_path: Path) -> None:
    assert not tokens_from({}).possible
    assert tokens_from({"TAILORBIRD_TOKEN_SECRET": f"{OTHER}, {SECRET}"}).read(signed(CLAIMS), NOW)
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    tokens = tokens_from({"TAILORBIRD_TOKEN_SECRET_FILE": str(tmp_path / "secret")}, 60)
    assert (tokens.read(signed(CLAIMS), NOW).user_id, tokens.seconds) == ("ann", 60)
    with pytest.raises(ConfigError, match="cannot be read: FileNotFoundError"):
        tokens_from({"TAILORBIRD_TOKEN_SECRET_FILE": str(tmp_path / "nothing")})


def test_a_short_secret_is_refused_and_not_repeated() -> None:
    with pytest.raises(ConfigError, match="at place 2 has 5 characters; it needs 32") as told:
        tokens_from({"TAILORBIRD_TOKEN_SECRET": f"{SECRET},guess"})
    assert "guess" not in str(told.value).replace("could be guessed", "")
