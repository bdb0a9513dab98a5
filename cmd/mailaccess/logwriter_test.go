package main

import (
	"bytes"
	"encoding/json"
	"testing"

	"go.uber.org/zap"
)

// What is logged shows as itself, and reads as what it was.
func TestPlainWriter(t *testing.T) {
	for _, test := range []struct{ name, shows string }{
		{"ann", `ann`},
		{"Ännchen 日本 🙂", `Ännchen 日本 🙂`},
		{"a\r\n\x1b\x00b", `a\r\n\u001b\u0000b`},
		{"a\x7f\u0085\u009b31m\u2028\u2029b", `a\u007f\u0085\u009b31m\u2028\u2029b`},
		{"\u202ebackwards\u2066\ufeff\u200b", `\u202ebackwards\u2066\ufeff\u200b`},
		{"\U000e0001", `\udb40\udc01`},
		{"\xff", `\ufffd`},
	} {
		for _, format := range []string{"json", "console"} {
			var b bytes.Buffer
			l := logging{level: "info", format: format}
			log, err := l.logger(&b)
			if err != nil {
				t.Fatal(err)
			}
			log.Info("hello", zap.String("name", test.name))
			line := b.Bytes()
			if !bytes.Contains(line, []byte(`"`+test.shows+`"`)) || bytes.Count(line, []byte("\n")) != 1 {
				t.Errorf("%s: %q is logged as %q, want %q in it", format, test.name, line, test.shows)
			}
			var e struct{ Name string }
			want := string(bytes.ToValidUTF8([]byte(test.name), []byte("\ufffd")))
			if err := json.Unmarshal(line[bytes.IndexByte(line, '{'):], &e); err != nil || e.Name != want {
				t.Errorf("%s: %q reads as %q, %v", format, test.name, e.Name, err)
			}
		}
	}
}
