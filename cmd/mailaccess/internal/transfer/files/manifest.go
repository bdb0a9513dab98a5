package files

import (
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/hashmail/mailaccess/mailaccess"
)

// ManifestName is the file with what the files of mail do not tell.
const ManifestName = "mailaccess.json"

// Manifest tells of mailboxes that are files: their names as they are, by the path that was
// made of each, and what was subscribed to.
type Manifest struct {
	Format        int                      `json:"mailaccess_export"`
	Mailboxes     map[string]ManifestEntry `json:"mailboxes,omitempty"`
	Subscriptions []string                 `json:"subscriptions,omitempty"`
	// Flags are those of messages whose flags have changed since their files were written,
	// by path.
	Flags map[string]string `json:"flags,omitempty"`
}

// ManifestEntry is a mailbox.
type ManifestEntry struct {
	Name string `json:"name"`
	Use  string `json:"special_use,omitempty"` // as in RFC 6154, with a space between several
}

const manifestFormat = 1

// ReadManifest reads a manifest. One of a later version is KindUnsupported.
func ReadManifest(text []byte) (*Manifest, error) {
	m := &Manifest{}
	if err := json.Unmarshal(text, m); err != nil {
		return nil, &mailaccess.Error{Kind: mailaccess.KindCorrupt, Op: "read " + ManifestName, Err: err}
	}
	if m.Format != manifestFormat {
		return nil, &mailaccess.Error{Kind: mailaccess.KindUnsupported, Op: "read " + ManifestName, Err: errors.New("another version wrote it")}
	}
	return m, nil
}

// LoadManifest reads a manifest from a file, which need not be there.
func LoadManifest(name string) (*Manifest, error) {
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return &Manifest{Format: manifestFormat}, nil
	}
	if err != nil {
		return nil, Failed("read "+ManifestName, err)
	}
	return ReadManifest(text)
}

// Bytes is the manifest as it is written.
func (m *Manifest) Bytes() ([]byte, error) {
	m.Format = manifestFormat
	text, err := json.MarshalIndent(m, "", "  ")
	return append(text, '\n'), err
}

// Add gives a mailbox a path that no other one has, on systems without case either.
func (m *Manifest) Add(name string, use mailaccess.SpecialUse) string {
	if m.Mailboxes == nil {
		m.Mailboxes = make(map[string]ManifestEntry)
	}
	path := Path(name)
	for other, e := range m.Mailboxes {
		if e.Name == name {
			return other
		}
	}
	for other := range m.Mailboxes {
		if strings.EqualFold(other, path) {
			path += Suffix(name)
			break
		}
	}
	m.Mailboxes[path] = ManifestEntry{Name: name, Use: useNames(use)}
	return path
}

// Subscribe adds a name.
func (m *Manifest) Subscribe(name string) {
	if !slices.Contains(m.Subscriptions, name) {
		m.Subscriptions = append(m.Subscriptions, name)
		slices.Sort(m.Subscriptions)
	}
}

// SpecialUse is the use of a mailbox.
func (e ManifestEntry) SpecialUse() (use mailaccess.SpecialUse) {
	known := specialUses()
	for w := range strings.FieldsSeq(e.Use) {
		use |= known[w]
	}
	return use
}

// SetUse notes the use of a mailbox.
func (e *ManifestEntry) SetUse(use mailaccess.SpecialUse) { e.Use = useNames(use) }

func specialUses() map[string]mailaccess.SpecialUse {
	return map[string]mailaccess.SpecialUse{
		`\All`: mailaccess.UseAll, `\Archive`: mailaccess.UseArchive, `\Drafts`: mailaccess.UseDrafts, `\Flagged`: mailaccess.UseFlagged,
		`\Junk`: mailaccess.UseJunk, `\Sent`: mailaccess.UseSent, `\Trash`: mailaccess.UseTrash, `\Important`: mailaccess.UseImportant,
	}
}

func useNames(use mailaccess.SpecialUse) string {
	known := specialUses()
	var names []string
	for _, w := range slices.Sorted(maps.Keys(known)) {
		if use&known[w] != 0 {
			names = append(names, w)
		}
	}
	return strings.Join(names, " ")
}

// FormatFlags writes flags as IMAP does, with a space between.
func FormatFlags(f mailaccess.Flags) string {
	var list []string
	for i, name := range systemNames() {
		if f.System&(1<<i) != 0 {
			list = append(list, name)
		}
	}
	return strings.Join(slices.AppendSeq(list, f.Keywords.All()), " ")
}

// ParseFlags reads them. What is no flag is left out.
func ParseFlags(text string) (f mailaccess.Flags) {
	var words []string
	for w := range strings.FieldsSeq(text) {
		if i := slices.Index(systemNames(), w); i >= 0 {
			f.System |= 1 << i
		} else if mailaccess.CheckKeyword(w) == nil && len(words) < mailaccess.MaxKeywords {
			words = append(words, w)
		}
	}
	f.Keywords, _ = mailaccess.NewKeywords(words...) // they were checked
	return f
}

// systemNames are the system flags in the order of their bits.
func systemNames() []string { return []string{`\Seen`, `\Answered`, `\Flagged`, `\Deleted`, `\Draft`} }
