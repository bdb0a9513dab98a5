package auth

import (
	"strings"
	"testing"
)

// The hashes are crypt(3)'s, the reference implementation's of Argon2 and, for the
// rest, other programs' than this one: openssl passwd, Python's hashlib.
func TestSchemes(t *testing.T) {
	const sha512 = "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1"
	for _, tt := range []struct{ field, password string }{
		{somebodysHash, "password"},
		{strings.TrimPrefix(somebodysHash, "{ARGON2ID}"), "password"},
		{"{argon2i}$argon2i$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$wWKIMhR9lyDFvRz9YTZweHKfbftvj+qf+YFY4NeBbtA", "password"},
		{"{BLF-CRYPT}$2y$05$abcdefghijklmnopqrstuu7nFISH/8YdwlXD3lw69A4iBUf6fvWAW", "Hello world!"},
		{"{bcrypt}$2b$05$abcdefghijklmnopqrstuu7nFISH/8YdwlXD3lw69A4iBUf6fvWAW", "Hello world!"},
		{"$2a$05$abcdefghijklmnopqrstuu7nFISH/8YdwlXD3lw69A4iBUf6fvWAW", "Hello world!"},
		{"{SHA512-CRYPT}" + sha512, "Hello world!"},
		{"{CRYPT}" + sha512, "Hello world!"},
		{sha512, "Hello world!"},
		{"{SHA256-CRYPT}$5$rounds=10000$saltstringsaltst$3xv.VbSHBb41AL9AvLeujZkZRBAwqFMz2.opqey6IcA", "Hello world!"},
		// RFC 7677, section 3, and RFC 5802, section 5: what their example stores.
		{"{SCRAM-SHA-256}4096,W22ZaJ0SNY7soEsUEjb6gQ==,WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=,wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=", "pencil"},
		{"{SCRAM-SHA-1}4096,QSXCR+Q6sek8bf92,6dlGYMOdZcOPutkcNY8U2g7vK9Y=,D+CSWLOshSulAsxiupA+qs2/fTE=", "pencil"},
		{"{SSHA}gVK8WC9YyFT1gMsQHTGCgT3sSv5zYWx0", "secret"},
		{"{SSHA256}+E+iFJ27Yu1ODPH1UNKUmzOmUT06dwfghQJRHHnMsO5zYWx0", "secret"},
		{"{SSHA256.hex}f84fa2149dbb62ed4e0cf1f550d2949b33a6513d3a7707e08502511c79ccb0ee73616c74", "secret"},
		{"{SSHA512.b64}E491yrR9AdCoE7rbOPYS3EZgSuZpVE65AD9xko08s6floNesY/Zpe9zMVvLix4S2FiQSJ99RIkNvhHomNO9uL3NhbHQ=", "secret"},
		{"{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=", "secret"},
		{"{sha1.hex}e5e9fa1ba31ecd1ae84f75caaa474f3a663f05f4", "secret"},
		{"{SHA256}K7gNU3sdo+OL0wNhqoVWhr3g6s1xYv72ol/pe/Unols=", "secret"},
		{"{SHA512.HEX}bd2b1aaf7ef4f09be9f52ce2d8d599674d81aa9d6a4421696dc4d93dd0619d682ce56b4d64a9ef097761ced99e0f67265b5f76085e5b0ee7ca4696b2ad6fe2b2", "secret"},
		{"{SHA512-CRYPT.b64}JDYkc2FsdHN0cmluZyRzdm44VW9TVmFwTnRNdXExdWtLUzR0UFFkOGlLd1NNSFdqbC9PODE3RzN1Qm5JRk5qblFKdWVzSTY4dTRPVExpQkZkY2JZRWRGQ29FT2ZhUzM1aW56MQ==", "Hello world!"},
		{"{CRYPT.hex}24362473616c74737472696e672473766e38556f535661704e744d757131756b4b53347450516438694b77534d48576a6c2f4f383137473375426e49464e6a6e514a75657349363875344f544c69424664636259456446436f454f6661533335696e7a31", "Hello world!"},
		{"{PLAIN.b64}c2VjOnJldA==", "sec:ret"},
		{"{PLAIN}sec}ret", "sec}ret"},
		{"{cleartext}secret", "secret"},
	} {
		h, err := parsePasswordField(tt.field)
		if err != nil {
			t.Errorf("%s: %v", tt.field, err)
			continue
		}
		if !h.matches(tt.password) {
			t.Errorf("%s does not match %q", tt.field, tt.password)
		}
		for _, wrong := range []string{"", tt.password + "x", tt.password[:len(tt.password)-1], strings.ToUpper(tt.password)} {
			if h.matches(wrong) {
				t.Errorf("%s matches %q", tt.field, wrong)
			}
		}
	}
}

func TestSchemesRefuse(t *testing.T) {
	const crypt = "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc8"
	for _, field := range []string{
		"", "{PLAIN}", "hunter2", "{hunter2", "{hunter2}x", "{MD5}hunter2", "{SHA}hunter2", "{CRAM-MD5}hunter2", "$1$salt$hunter2", "{CRYPT}hunter2",
		"{SHA512-CRYPT}" + crypt, "{SHA256-CRYPT}$5$rounds=999$" + crypt[3:], "{SHA256-CRYPT}$5$rounds=99999999$" + crypt[3:],
		"{SHA256-CRYPT}$5$rounds=x$" + crypt[3:], crypt + "A", crypt + "$", "$5$hunter2", "$5$saltstringsaltstring$" + crypt[14:],
		"{BLF-CRYPT}hunter2", "$2y$16$abcdefghijklmnopqrstuu7nFISH/8YdwlXD3lw69A4iBUf6fvWAW", "$2y$05$abcdefghijklmnopqrstuu7nFISH/8YdwlXD3lw69A4iBUf6fvWA",
		"$2y$05$abcdefghijklmnopqrstuu7nFISH/8YdwlXD3lw69A4iBUf6fv!AW",
		"{SSHA}hunter2", "{SSHA.x}gVK8WC9YyFT1gMsQHTGCgT3sSv5zYWx0", "{SSHA512}gVK8WC9YyFT1gMsQHTGCgT3sSv5zYWx0", "{SSHA.hex}gVK8",
		"{SHA}gVK8WC9YyFT1gMsQHTGCgT3sSv5zYWx0", "{PLAIN.x}c2VjcmV0", "{PLAIN.b64}hunter2", "{PLAIN.hex}00", "{SHA512-CRYPT.hex}hunter2",
		"{ARGON2ID}$argon2i$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$wWKIMhR9lyDFvRz9YTZweHKfbftvj+qf+YFY4NeBbtA", "{SCRAM-SHA-256}hunter2",
	} {
		h, err := parsePasswordField(field)
		if err == nil {
			t.Errorf("%q is accepted as %v", field, h)
		} else if h != nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v, the error %v", field, h, err)
		}
	}
}

func TestNewPasswordField(t *testing.T) {
	for _, scheme := range []Scheme{"", SchemeArgon2id, SchemeScramSHA256, SchemeBcrypt, SchemePlain} {
		field, err := newPasswordField(scheme, "sécret", cheap)
		if err != nil {
			t.Errorf("%s: %v", scheme, err)
			continue
		}
		h, err := parsePasswordField(field)
		if err != nil || !h.matches("sécret") || h.matches("secret") {
			t.Errorf("%s: %s: %v", scheme, field, err)
		}
		if again, _ := newPasswordField(scheme, "sécret", cheap); scheme != SchemePlain && again == field {
			t.Errorf("%s: two hashes are equal", scheme)
		}
	}
	for scheme, password := range map[Scheme]string{"SSHA": "secret", "x": "secret", SchemeBcrypt: strings.Repeat("x", 73), SchemePlain: "a:b"} {
		if field, err := newPasswordField(scheme, password, cheap); err == nil || strings.Contains(err.Error(), password) {
			t.Errorf("%s: %s, %v", scheme, field, err)
		}
	}
}

// TestSHACryptLongPassword: the work of sha-crypt grows with the password, which
// whoever comes can choose.
func TestSHACryptLongPassword(t *testing.T) {
	// Without a digest: what is too long does not get as far.
	if (shaCryptHash{}).matches(strings.Repeat("x", maxCryptPassword+1)) {
		t.Error("a long password matches")
	}
}

// FuzzPasswordField: whatever stands in a file, verifying against it neither
// panics nor lets in a password that nobody could have chosen.
func FuzzPasswordField(f *testing.F) {
	for _, s := range []string{
		somebodysHash, "{SSHA.hex}00", "$2y$05$abcdefghijklmnopqrstuu7nFISH/8YdwlXD3lw69A4iBUf6fvWAW", "{PLAIN}x",
		"$5$rounds=1000$saltstringsaltst$3xv.VbSHBb41AL9AvLeujZkZRBAwqFMz2.opqey6IcA", "{SCRAM-SHA-1}4096,QSXCR+Q6sek8bf92,6dlGYMOdZcOPutkcNY8U2g7vK9Y=,D+CSWLOshSulAsxiupA+qs2/fTE=",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		h, err := parsePasswordField(s)
		if (h == nil) != (err != nil) {
			t.Fatalf("%v, %v", h, err)
		}
		if _, quick := h.(saltedHash); quick && h.matches("a password that is nobody's") {
			t.Fatal("it matches")
		}
	})
}
