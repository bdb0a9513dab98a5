package protocols_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/hashmail/mailaccess/protocols"
)

// issue returns a certificate for the names with a key of its own, valid for a while
// from now, signed by itself.
func issue(t testing.TB, algorithm x509.PublicKeyAlgorithm, valid time.Duration, names ...string) tls.Certificate {
	t.Helper()
	var key crypto.Signer
	var err error
	switch algorithm {
	case x509.RSA:
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	default:
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	if err != nil {
		t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: serial.String()}, DNSNames: names,
		NotBefore: time.Now(), NotAfter: time.Now().Add(valid), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

const year = 365 * 24 * time.Hour

// certPEM and keyPEM are the two files of a certificate.
func certPEM(c tls.Certificate) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]}))
}

func keyPEM(t testing.TB, c tls.Certificate) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// write writes a file, later than it was written before, as it is outside of tests.
func write(t testing.TB, file, content string) {
	t.Helper()
	before, missing := os.Stat(file)
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if missing != nil {
		return
	}
	later := before.ModTime().Add(time.Second)
	if err := os.Chtimes(file, later, later); err != nil {
		t.Fatal(err)
	}
}

// writePair writes a certificate into dir.
func writePair(t testing.TB, dir, name string, c tls.Certificate) protocols.KeyPair {
	t.Helper()
	files := protocols.KeyPair{Certificate: filepath.Join(dir, name+".pem"), Key: filepath.Join(dir, name+".key")}
	write(t, files.Certificate, certPEM(c))
	write(t, files.Key, keyPEM(t, c))
	return files
}

// inForce returns what a client without wishes gets.
func inForce(t testing.TB, c *protocols.Certificates) *x509.Certificate {
	t.Helper()
	cert, err := c.GetCertificate(&tls.ClientHelloInfo{})
	if err != nil {
		t.Fatal(err)
	}
	return cert.Leaf
}

// Which certificate a client gets follows from the name it asks for and from what it
// supports.
func TestCertificatesByName(t *testing.T) {
	dir := t.TempDir()
	made := map[string]tls.Certificate{
		"ecdsa":    issue(t, x509.ECDSA, year, "mail.example.org", "imap.example.org"),
		"rsa":      issue(t, x509.RSA, year, "MAIL.example.org", "old.example.net"),
		"wildcard": issue(t, x509.ECDSA, year, "*.example.org"),
		"other":    issue(t, x509.RSA, year, "example.net"),
	}
	var pairs []protocols.KeyPair
	for _, name := range []string{"ecdsa", "wildcard", "other", "rsa"} {
		pairs = append(pairs, writePair(t, dir, name, made[name]))
	}
	certs, err := protocols.LoadCertificates(pairs, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer certs.Close()
	s := &protocols.Server{Protocol: serveFunc(untilEnd), TLSConfig: certs.TLSConfig()}
	addr := listen(t, s, s.ServeTLS)
	onlyRSA := []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}
	for _, tt := range []struct {
		name    string
		version uint16
		suites  []uint16
		want    string
	}{
		{"mail.example.org", tls.VersionTLS13, nil, "ecdsa"},
		{"Imap.Example.ORG", tls.VersionTLS13, nil, "ecdsa"},
		{"mail.example.org", tls.VersionTLS12, onlyRSA, "rsa"},
		{"pop.example.org", tls.VersionTLS13, nil, "wildcard"}, // though the first could do as well
		{"a.pop.example.org", tls.VersionTLS13, nil, "ecdsa"},  // a wildcard is for one level
		{"example.net", tls.VersionTLS13, nil, "other"},
		{"unknown.test", tls.VersionTLS13, nil, "ecdsa"},
		{"unknown.test", tls.VersionTLS12, onlyRSA, "rsa"}, // shares a name with the first, as example.net does not
		{"", tls.VersionTLS13, nil, "ecdsa"},
		{"", tls.VersionTLS12, onlyRSA, "rsa"},
		{"localhost", tls.VersionTLS12, nil, "ecdsa"},
	} {
		conn, err := tls.Dial("tcp", addr, &tls.Config{
			ServerName: tt.name, InsecureSkipVerify: true, MaxVersion: tt.version, CipherSuites: tt.suites,
		})
		if err != nil {
			t.Errorf("%q, %x: %v", tt.name, tt.version, err)
			continue
		}
		if got := conn.ConnectionState().PeerCertificates[0]; !got.Equal(made[tt.want].Leaf) {
			t.Errorf("%q, %x: got the certificate for %q, want %s", tt.name, tt.version, got.DNSNames, tt.want)
		}
		conn.Close()
	}
}

// A replaced certificate is in force a few seconds later, however it was replaced.
func TestCertificatesChange(t *testing.T) {
	link := func(t *testing.T, target, name string) {
		t.Helper()
		if err := os.Symlink(target, name+".new"); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(name+".new", name); err != nil {
			t.Fatal(err)
		}
	}
	for name, tt := range map[string]struct {
		files  func(dir string) protocols.KeyPair
		put    func(t *testing.T, dir string, c tls.Certificate)
		before func(t *testing.T, dir string)
	}{
		"written in place": {
			files: func(dir string) protocols.KeyPair {
				return protocols.KeyPair{Certificate: dir + "/a.pem", Key: dir + "/a.key"}
			},
			put: func(t *testing.T, dir string, c tls.Certificate) { writePair(t, dir, "a", c) },
		},
		"one file, renamed": {
			files: func(dir string) protocols.KeyPair {
				return protocols.KeyPair{Certificate: dir + "/both.pem", Key: dir + "/both.pem"}
			},
			put: func(t *testing.T, dir string, c tls.Certificate) {
				write(t, dir+"/new", keyPEM(t, c)+certPEM(c))
				if err := os.Rename(dir+"/new", dir+"/both.pem"); err != nil {
					t.Fatal(err)
				}
			},
		},
		"certbot": {
			files: func(dir string) protocols.KeyPair {
				return protocols.KeyPair{Certificate: dir + "/live/fullchain.pem", Key: dir + "/live/privkey.pem"}
			},
			before: func(t *testing.T, dir string) {
				for _, d := range []string{"live", "archive"} {
					if err := os.Mkdir(filepath.Join(dir, d), 0o700); err != nil {
						t.Fatal(err)
					}
				}
			},
			put: func(t *testing.T, dir string, c tls.Certificate) {
				n := c.Leaf.SerialNumber.String()
				write(t, dir+"/archive/fullchain"+n+".pem", certPEM(c))
				write(t, dir+"/archive/privkey"+n+".pem", keyPEM(t, c))
				link(t, "../archive/privkey"+n+".pem", dir+"/live/privkey.pem")
				link(t, "../archive/fullchain"+n+".pem", dir+"/live/fullchain.pem")
			},
		},
		"Kubernetes": {
			files: func(dir string) protocols.KeyPair {
				return protocols.KeyPair{Certificate: dir + "/tls.crt", Key: dir + "/tls.key"}
			},
			before: func(t *testing.T, dir string) {
				link(t, "..data/tls.crt", dir+"/tls.crt")
				link(t, "..data/tls.key", dir+"/tls.key")
			},
			put: func(t *testing.T, dir string, c tls.Certificate) {
				n := "..at" + c.Leaf.SerialNumber.String()
				if err := os.Mkdir(filepath.Join(dir, n), 0o700); err != nil {
					t.Fatal(err)
				}
				write(t, dir+"/"+n+"/tls.crt", certPEM(c))
				write(t, dir+"/"+n+"/tls.key", keyPEM(t, c))
				link(t, n, dir+"/..data")
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				if tt.before != nil {
					tt.before(t, dir)
				}
				old, renewed := issue(t, x509.ECDSA, year, "localhost"), issue(t, x509.ECDSA, year, "localhost")
				tt.put(t, dir, old)
				certs, err := protocols.LoadCertificates([]protocols.KeyPair{tt.files(dir)}, nil)
				if err != nil {
					t.Fatal(err)
				}
				defer certs.Close()
				if got := inForce(t, certs); !got.Equal(old.Leaf) {
					t.Error("another certificate than the one there is")
				}
				tt.put(t, dir, renewed)
				time.Sleep(11 * time.Second) // fake time
				synctest.Wait()
				if got := inForce(t, certs); !got.Equal(renewed.Leaf) {
					t.Error("not renewed")
				}
			})
		})
	}
}

// What cannot be loaded leaves the old certificate in force, alone; it is logged
// once, unless it was just half replaced.
func TestCertificatesBroken(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		first, second, renewed := issue(t, x509.ECDSA, year, "a.test"), issue(t, x509.ECDSA, year, "b.test"), issue(t, x509.ECDSA, year, "a.test")
		files := []protocols.KeyPair{writePair(t, dir, "a", first), writePair(t, dir, "b", second)}
		logger, logs := observed(zapcore.WarnLevel)
		certs, err := protocols.LoadCertificates(files, logger)
		if err != nil {
			t.Fatal(err)
		}
		defer certs.Close()
		wait := func(d time.Duration, want *x509.Certificate, errors int) {
			t.Helper()
			time.Sleep(d) // fake time
			synctest.Wait()
			if !inForce(t, certs).Equal(want) {
				t.Error("another certificate is in force")
			}
			if n := logs.Len(); n != errors {
				t.Errorf("%d lines logged, want %d: %v", n, errors, logs.All())
			}
		}
		write(t, files[0].Certificate, certPEM(renewed))
		wait(11*time.Second, first.Leaf, 0)
		write(t, files[0].Key, keyPEM(t, renewed))
		wait(10*time.Second, renewed.Leaf, 0)

		write(t, files[0].Certificate, "not PEM")
		wait(10*time.Second, renewed.Leaf, 0)
		wait(time.Hour, renewed.Leaf, 1)
		entry := logs.All()[0]
		if text := entry.ContextMap()["error"].(string); entry.Level != zapcore.ErrorLevel || !strings.Contains(text, files[0].Certificate) {
			t.Errorf("logged: %v %v", entry, text)
		}
		if err := certs.Reload(); err == nil || !strings.Contains(err.Error(), files[0].Certificate) {
			t.Errorf("Reload returned %v", err)
		}
		// A broken pair holds up no other one.
		other := issue(t, x509.ECDSA, year, "b.test")
		writePair(t, dir, "b", other)
		wait(10*time.Second, renewed.Leaf, 1)
		cert, err := certs.GetCertificate(&tls.ClientHelloInfo{
			ServerName: "b.test", SupportedVersions: []uint16{tls.VersionTLS13}, SignatureSchemes: []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256},
		})
		if err != nil || !cert.Leaf.Equal(other.Leaf) {
			t.Errorf("the other pair: %v, %v", cert.Leaf.DNSNames, err)
		}
		if err := os.Remove(files[0].Certificate); err != nil {
			t.Fatal(err)
		}
		wait(time.Hour, renewed.Leaf, 2) // another failure
		write(t, files[0].Certificate, certPEM(first))
		write(t, files[0].Key, keyPEM(t, first))
		wait(10*time.Second, first.Leaf, 2)
		if err := certs.Reload(); err != nil {
			t.Error(err)
		}
	})
}

// At the start everything must be right.
func TestCertificatesAtTheStart(t *testing.T) {
	dir := t.TempDir()
	good, other := writePair(t, dir, "good", issue(t, x509.ECDSA, year, "a.test")), writePair(t, dir, "other", issue(t, x509.ECDSA, year, "b.test"))
	for what, pairs := range map[string][]protocols.KeyPair{
		"nothing":        nil,
		"no file":        {good, {Certificate: dir + "/none.pem", Key: good.Key}},
		"another key":    {{Certificate: good.Certificate, Key: other.Key}},
		"no certificate": {{Certificate: good.Key, Key: good.Key}},
	} {
		if c, err := protocols.LoadCertificates(pairs, nil); err == nil {
			t.Errorf("%s: no error", what)
			c.Close()
		}
	}
}

// A certificate that expires soon, or has, is logged, and again each day.
func TestCertificatesExpire(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		logger, logs := observed(zapcore.WarnLevel)
		files := writePair(t, dir, "a", issue(t, x509.ECDSA, 10*24*time.Hour, "a.test"))
		certs, err := protocols.LoadCertificates([]protocols.KeyPair{files}, logger)
		if err != nil {
			t.Fatal(err)
		}
		defer certs.Close()
		pass := func(days int, soon, expired int) {
			t.Helper()
			time.Sleep(time.Duration(days)*24*time.Hour + time.Minute) // fake time
			synctest.Wait()
			if n := logs.FilterMessage("certificate expires soon").Len(); n != soon {
				t.Errorf("%d times that it expires soon, want %d", n, soon)
			}
			if n := logs.FilterMessage("certificate has expired").Len(); n != expired {
				t.Errorf("%d times that it has expired, want %d", n, expired)
			}
		}
		pass(7, 0, 0)
		pass(1, 1, 0)
		pass(1, 2, 0)
		pass(1, 2, 1)
		pass(1, 2, 2)
		writePair(t, dir, "a", issue(t, x509.ECDSA, 10*24*time.Hour, "a.test"))
		pass(3, 2, 2)
	})
}
