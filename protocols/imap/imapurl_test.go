package imap

import (
	"reflect"
	"testing"

	"github.com/hashmail/mailaccess/mailaccess/message"
)

// TestParseMessageURL: the forms of RFC 5092, section 11 that name a message or a part
// of one without a server, and nothing else.
func TestParseMessageURL(t *testing.T) {
	for in, want := range map[string]messageURL{
		"/a/;UID=1": {mailbox: "a", uid: 1},
		"/a/b;uidvalidity=4294967295/;uid=4294967295": {mailbox: "a/b", uidValidity: 1<<32 - 1, uid: 1<<32 - 1},
		"/a%3Bb%2f%25/;UID=2/;section=1.2":            {mailbox: "a;b/%", uid: 2, section: message.Section{Path: []int{1, 2}}},
		"/a&b=@:/;UID=2/;PARTIAL=0.9":                 {mailbox: "a&b=@:", uid: 2, partial: partial{0, 9}},
		"/a/;UID=2/;PARTIAL=7":                        {mailbox: "a", uid: 2, partial: partial{7, 1<<63 - 1}},
		"/a/;UID=2/;SECTION=2.MIME/;PARTIAL=1.1": {mailbox: "a", uid: 2,
			section: message.Section{Path: []int{2}, Kind: message.SectionMIME}, partial: partial{1, 1}},
		"/a/;UID=2/;SECTION=HEADER.FIELDS.NOT%20(A/b)": {mailbox: "a", uid: 2,
			section: message.Section{Kind: message.SectionHeaderFieldsNot, Fields: []string{"A/b"}}},
		";UID=3":                      {uid: 3},
		";UID=3/;SECTION=TEXT":        {uid: 3, section: message.Section{Kind: message.SectionText}},
		"/../a/./b/../c/;UID=1":       {mailbox: "a/c", uid: 1},
		"/..;UIDVALIDITY=1/;UID=1":    {},
		"/%2e%2E/;UID=1":              {mailbox: "..", uid: 1},
		"/a//b/;UID=1":                {mailbox: "a//b", uid: 1},
		"/a/;UID=20/..":               {}, // the mailbox itself (RFC 5092, section 9.1)
		"/./;UID=1":                   {},
		"":                            {},
		"/":                           {},
		"/a":                          {},
		"/a/":                         {},
		"/a;UID=1":                    {},
		"/;UID=1":                     {},
		"//a/;UID=1":                  {},
		"a/;UID=1":                    {},
		"/a/;UID=0":                   {},
		"/a/;UID=01":                  {},
		"/a/;UID=4294967296":          {},
		"/a/;UID=":                    {},
		"/a/;UID=1/":                  {},
		"/a/;UID=1;":                  {},
		"/a;UIDVALIDITY=0/;UID=1":     {},
		"/a;UIDVALIDITY=1;UID=1":      {},
		"/a;UIDVALIDITY=1":            {},
		"/a/;UID=1/;SECTION=":         {},
		"/a/;UID=1/;SECTION=0":        {},
		"/a/;UID=1/;SECTION=TEXT;":    {},
		"/a/;UID=1/;SECTION=MIME":     {},
		"/a/;UID=1/;SECTION=1]%0d%0a": {},
		"/a/;UID=1/;SECTION=1]":       {},
		"/a/;UID=1/;SECTION=HEADER.FIELDS%20(%7B1%7D%0D%0Aa": {},
		"/a/;UID=1/;PARTIAL=":                                {},
		"/a/;UID=1/;PARTIAL=1.":                              {},
		"/a/;UID=1/;PARTIAL=1.0":                             {},
		"/a/;UID=1/;PARTIAL=-1":                              {},
		"/a/;UID=1/;PARTIAL=1.9223372036854775808":           {},
		"/a/;UID=1/;PARTIAL=1/;SECTION=1":                    {},
		"/a/;UID=1;URLAUTH=anonymous":                        {},
		"/a?ALL":                                             {},
		"/a%/;UID=1":                                         {},
		"/a%2/;UID=1":                                        {},
		"/a%+2/;UID=1":                                       {},
		"/a%00/;UID=1":                                       {},
		"/%ff/;UID=1":                                        {},
		"/a b/;UID=1":                                        {},
		"/\xc3\xa9/;UID=1":                                   {},
		"imap://h/a/;UID=1":                                  {},
	} {
		got, ok := parseMessageURL(in)
		if ok != (want.uid != 0) || ok && !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %+v, %v; want %+v", in, got, ok, want)
		}
	}
}

// FuzzMessageURL: any octets are a URL or none.
func FuzzMessageURL(f *testing.F) {
	for _, seed := range []string{"/a;UIDVALIDITY=1/;UID=2/;SECTION=1.HEADER/;PARTIAL=3.4", ";UID=1", "/%ff/../;UID=1", "/a/;UID=1/;SECTION={1+}"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if u, ok := parseMessageURL(s); ok && (u.uid == 0 || u.partial.off < 0 || u.partial.n < 0) {
			t.Errorf("%q: %+v", s, u)
		}
		for _, c := range appendURLText(nil, s) {
			if c < ' ' || c >= 0x7f || c == ']' {
				t.Errorf("%q: octet %q in a response code", s, c)
			}
		}
	})
}
