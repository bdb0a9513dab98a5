package message

import (
	"fmt"
	"io"
	"strings"
	"testing"
)

// typical is a message as mail programs send it: text in two forms, an
// inline image and an attachment, some 100 KiB.
func typical() string {
	line := strings.Repeat("QUJD", 19) + "\n"
	return crlf("Return-Path: <joe@example.org>\n" +
		strings.Repeat("Received: from mx.example.org (mx.example.org [192.0.2.1])\n\tby mail.example.com with ESMTPS id 0123456789\n\tfor <ann@example.com>; Mon, 7 Feb 1994 21:52:25 -0800\n", 4) +
		`Date: Mon, 7 Feb 1994 21:52:25 -0800
From: Joe Public <joe@example.org>
To: Ann <ann@example.com>, "Smith, Bob" <bob@example.net>, carol@example.com
Cc: A Group: Ed <ed@example.org>, John <john@example.org>;
Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= from here
Message-ID: <1@example.org>
In-Reply-To: <0@example.com>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="----=_Part_1"

------=_Part_1
Content-Type: multipart/related; boundary="----=_Part_2"

------=_Part_2
Content-Type: multipart/alternative; boundary="----=_Part_3"

------=_Part_3
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: quoted-printable

` + strings.Repeat("The quick brown fox jumps over the lazy dog, and writes about it in mail.\n", 20) + `
------=_Part_3
Content-Type: text/html; charset=utf-8
Content-Transfer-Encoding: quoted-printable

` + strings.Repeat("<p>The quick brown fox jumps over the lazy dog, and writes about it.</p>\n", 40) + `
------=_Part_3--

------=_Part_2
Content-Type: image/png; name="logo.png"
Content-Transfer-Encoding: base64
Content-ID: <logo@example.org>
Content-Disposition: inline; filename="logo.png"

` + strings.Repeat(line, 200) + `
------=_Part_2--

------=_Part_1
Content-Type: application/pdf; name="report.pdf"
Content-Transfer-Encoding: base64
Content-Disposition: attachment; filename="report.pdf"; size=62000

` + strings.Repeat(line, 1000) + `
------=_Part_1--
`)
}

func BenchmarkParse(b *testing.B) {
	msg := typical()
	r := strings.NewReader(msg)
	b.SetBytes(int64(len(msg)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(r, int64(len(msg)), nil); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParsePlain(b *testing.B) {
	msg := crlf("Subject: x\nFrom: joe@example.org\nContent-Type: text/plain; charset=utf-8\n\n" + strings.Repeat("A line of text in a body.\n", 50))
	r := strings.NewReader(msg)
	b.SetBytes(int64(len(msg)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(r, int64(len(msg)), nil); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseParts(b *testing.B) {
	var msg strings.Builder
	msg.WriteString("Content-Type: multipart/mixed; boundary=b\r\n\r\n")
	for i := range 1000 {
		fmt.Fprintf(&msg, "--b\r\nContent-Type: image/png; name=%d.png\r\n\r\nx\r\n", i)
	}
	r := strings.NewReader(msg.String())
	b.SetBytes(r.Size())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(r, r.Size(), nil); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEnvelope(b *testing.B) {
	msg := typical()
	p := parse(b, msg)
	h := Header(msg[:p.Header.Len])
	b.ReportAllocs()
	for b.Loop() {
		if e := h.Envelope(); len(e.To) != 3 {
			b.Fatal(e.To)
		}
	}
}

func BenchmarkEncodedTree(b *testing.B) {
	p := parse(b, typical())
	enc, _ := p.AppendBinary(nil)
	b.Run("append", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			enc, _ = p.AppendBinary(enc[:0])
		}
		b.ReportMetric(float64(len(enc)), "octets")
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := Decode(enc); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkHeaderFields(b *testing.B) {
	msg := typical()
	r := strings.NewReader(msg)
	p := parse(b, msg)
	s := Section{Kind: SectionHeaderFields, Fields: []string{"Date", "From", "To", "Subject", "Message-ID"}}
	b.ReportAllocs()
	for b.Loop() {
		if _, ok, err := p.Section(r, s); !ok || err != nil {
			b.Fatal(ok, err)
		}
	}
}

func BenchmarkText(b *testing.B) {
	msg := typical()
	r := strings.NewReader(msg)
	p := parse(b, msg)
	for name, path := range map[string][]int{"quoted-printable": {1, 1, 2}, "base64": {2}} {
		part, ok := p.Find(path)
		if !ok {
			b.Fatal(path)
		}
		b.Run(name, func(b *testing.B) {
			b.SetBytes(part.Body.Len)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := io.Copy(io.Discard, part.Text(r)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkCanonicalWriter(b *testing.B) {
	lf := []byte(strings.ReplaceAll(typical(), "\r\n", "\n"))
	for name, in := range map[string][]byte{"canonical": []byte(typical()), "LF": lf} {
		b.Run(name, func(b *testing.B) {
			w := NewCanonicalWriter(io.Discard)
			b.SetBytes(int64(len(in)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := w.Write(in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
