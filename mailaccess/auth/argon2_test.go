package auth

import (
	"strings"
	"testing"
)

// The vectors of the reference implementation of Argon2 (its test.c).
func TestArgon2Vectors(t *testing.T) {
	for _, tt := range []struct{ password, hash string }{
		{"password", "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"},
		{"password", "$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc"},
		{"password", "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"},
		{"differentpassword", "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$C4TWUs9rDEvq7w3+J4umqA32aWKB1+DSiRuBfYxFj94"},
		{"password", "$argon2i$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$wWKIMhR9lyDFvRz9YTZweHKfbftvj+qf+YFY4NeBbtA"},
	} {
		h, err := parseArgon2Hash(variantOf(tt.hash), tt.hash)
		if err != nil {
			t.Fatalf("%s: %v", tt.hash, err)
		}
		if !h.matches(tt.password) {
			t.Errorf("%s does not match %q", tt.hash, tt.password)
		}
		if h.matches(tt.password + "x") {
			t.Errorf("%s matches what it should not", tt.hash)
		}
		if h.String() != tt.hash {
			t.Errorf("%s is written as %s", tt.hash, h)
		}
	}
}

func variantOf(hash string) string {
	if strings.HasPrefix(hash, argon2iPrefix) {
		return argon2iPrefix
	}
	return argon2idPrefix
}

func TestArgon2New(t *testing.T) {
	a, err := newArgon2Hash("secret", Argon2id{})
	if err != nil {
		t.Fatal(err)
	}
	b, err := newArgon2Hash("secret", Argon2id{})
	if err != nil {
		t.Fatal(err)
	}
	if a.String() == b.String() {
		t.Error("two hashes have the same salt")
	}
	if !strings.HasPrefix(a.String(), "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("the defaults are %+v", a.Argon2id)
	}
	if back, err := parseArgon2Hash(argon2idPrefix, a.String()); err != nil || !back.matches("secret") || back.matches("Secret") {
		t.Errorf("the hash does not survive its text form: %v", err)
	}
	if _, err := newArgon2Hash("secret", Argon2id{Memory: maxMemory + 1}); err == nil {
		t.Error("costs are not bounded")
	}
}

func TestParseArgon2Refuses(t *testing.T) {
	const salt, key = "c29tZXNhbHQ", "nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"
	if _, err := parseArgon2Hash(argon2idPrefix, "$argon2id$v=19$m=256,t=2,p=1$"+salt+"$"+key); err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{
		"", "$", "$argon2id$", "secret",
		"$argon2i$v=19$m=256,t=2,p=1$" + salt + "$" + key,
		"$argon2id$v=16$m=256,t=2,p=1$" + salt + "$" + key,
		"$argon2id$m=256,t=2,p=1$" + salt + "$" + key,
		"$argon2id$v=19$m=256,t=2,p=1$" + salt,
		"$argon2id$v=19$m=256,t=2,p=1$" + salt + "$",
		"$argon2id$v=19$m=256,t=2,p=1$" + salt + "$" + key + "$",
		"$argon2id$v=19$m=256,t=2,p=1$" + salt + "$" + key + "=",
		"$argon2id$v=19$m=256,t=2,p=1$" + salt + "\n$" + key,
		"$argon2id$v=19$m=256,t=2,p=1$c2FsdA$" + key,              // salt too short
		"$argon2id$v=19$m=256,t=2,p=1$" + salt + "$c29tZXNhbHQ",   // key too short
		"$argon2id$v=19$m=256,t=2,p=1$" + salt[:10] + "R$" + key,  // bits left over
		"$argon2id$v=19$t=2,m=256,p=1$" + salt + "$" + key,        // order
		"$argon2id$v=19$m=256,t=2,p=1,x=1$" + salt + "$" + key,    //
		"$argon2id$v=19$m=256,t=2$" + salt + "$" + key,            //
		"$argon2id$v=19$m=0256,t=2,p=1$" + salt + "$" + key,       //
		"$argon2id$v=19$m=+256,t=2,p=1$" + salt + "$" + key,       //
		"$argon2id$v=19$m=-256,t=2,p=1$" + salt + "$" + key,       //
		"$argon2id$v=19$m=,t=2,p=1$" + salt + "$" + key,           //
		"$argon2id$v=19$m=256,t=0,p=1$" + salt + "$" + key,        //
		"$argon2id$v=19$m=256,t=2,p=0$" + salt + "$" + key,        //
		"$argon2id$v=19$m=256,t=17,p=1$" + salt + "$" + key,       // out of bounds from here
		"$argon2id$v=19$m=256,t=2,p=17$" + salt + "$" + key,       //
		"$argon2id$v=19$m=256,t=2,p=257$" + salt + "$" + key,      //
		"$argon2id$v=19$m=7,t=2,p=1$" + salt + "$" + key,          //
		"$argon2id$v=19$m=262145,t=2,p=1$" + salt + "$" + key,     //
		"$argon2id$v=19$m=4294967296,t=2,p=1$" + salt + "$" + key, //
		"$argon2id$v=19$m=256,t=2,p=1$" + strings.Repeat("A", 400) + "$" + key,
	} {
		h, err := parseArgon2Hash(argon2idPrefix, s)
		if err == nil {
			t.Errorf("%s is accepted as %+v", s, h)
		} else if strings.Contains(err.Error(), key) || strings.Contains(err.Error(), salt) {
			t.Errorf("%s: the error repeats it: %v", s, err)
		}
	}
}

// FuzzParseArgon2: what is accepted is within bounds and has one spelling.
func FuzzParseArgon2(f *testing.F) {
	f.Add("$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4")
	f.Add("$argon2id$v=19$m=4294967295,t=4294967295,p=255$$")
	f.Fuzz(func(t *testing.T, s string) {
		h, err := parseArgon2Hash(argon2idPrefix, s)
		if err != nil {
			return
		}
		if h.check() != nil || len(h.salt) > maxSalt || len(h.key) > maxKey || len(h.key) < minKey {
			t.Fatalf("%q is accepted with %+v", s, h)
		}
		if h.String() != s {
			t.Fatalf("%q is written as %q", s, h.String())
		}
	})
}
