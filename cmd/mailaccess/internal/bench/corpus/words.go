package corpus

// A person writes messages. The name is as the header has it.
type person struct{ name, address string }

var people = []person{
	{"Ann", "ann@example.org"}, {"Bob", "bob@example.org"}, {"\"Carol (office)\"", "carol@example.com"},
	{"=?UTF-8?Q?J=C3=BCrgen?=", "juergen@example.net"}, {"=?ISO-8859-1?Q?Ren=E9e?=", "renee@example.com"},
	{"=?ISO-2022-JP?B?GyRCRnxLXBsoQg==?=", "nihon@example.net"}, {"=?KOI8-R?B?8NLJ18XU?=", "privet@example.net"},
	{"Support", "support@example.com"}, {"\"News, daily\"", "news@example.net"}, {"Build robot", "robot@example.org"},
	{"Dave", "dave@example.com"}, {"Eve", "eve@example.net"}, {"Frank", "frank@example.org"}, {"Grace", "grace@example.com"},
	{"=?UTF-8?B?5bGx55Sw?=", "yamada@example.net"}, {"Heidi", "heidi@example.org"},
}

// encodedSubjects are beginnings of subjects.
var encodedSubjects = []string{
	"=?UTF-8?Q?Gr=C3=BC=C3=9Fe?=", "=?ISO-8859-1?Q?R=E9union?=", "=?ISO-2022-JP?B?GyRCRnxLXBsoQg==?=",
	"=?KOI8-R?B?8NLJ18XU?=", "=?UTF-8?B?5Lya6K2w?=",
}

// A language is a charset, how it is encoded, and words in it besides the English ones.
type language struct {
	charset, encoding string
	words             []string // octets in that charset
}

var languages = []language{
	{"us-ascii", "7bit", nil},
	{"utf-8", "8bit", []string{"für", "größer", "café", "naïve", "会議", "東京", "привет", "§"}},
	{"utf-8", "base64", []string{"für", "größer", "会議", "東京", "привет", "время"}},
	{"iso-8859-1", "quoted-printable", []string{"f\xfcr", "gr\xf6\xdfer", "caf\xe9", "na\xefve", "r\xe9union"}},
	{"koi8-r", "base64", []string{"\xd0\xd2\xc9\xd7\xc5\xd4", "\xd7\xd2\xc5\xcd\xd1", "\xc4\xc5\xce\xd8"}},
	{"iso-2022-jp", "7bit", []string{"\x1b$BF|K\\\x1b(B", "\x1b$B2q5D\x1b(B"}},
}

// words are in texts and subjects. Neither SubjectWord nor BodyWord is in one of them.
var words = []string{
	"about", "after", "again", "agenda", "already", "answer", "attached", "available", "before", "below", "budget",
	"build", "call", "change", "check", "client", "comment", "complete", "confirm", "contract", "copy", "could",
	"date", "deadline", "delivery", "design", "details", "different", "document", "draft", "email", "error",
	"estimate", "every", "feature", "feedback", "figure", "file", "final", "first", "folder", "follow", "friday",
	"from", "have", "help", "hours", "house", "idea", "important", "information", "invoice", "issue", "item", "just",
	"know", "last", "later", "letter", "list", "little", "long", "look", "mail", "make", "many", "meeting", "message",
	"minutes", "monday", "month", "morning", "need", "network", "never", "next", "note", "notice", "number", "office",
	"only", "open", "order", "other", "over", "page", "paper", "part", "people", "plan", "please", "point", "price",
	"problem", "project", "proposal", "question", "quick", "read", "ready", "really", "release", "reply", "report",
	"request", "review", "right", "room", "schedule", "second", "section", "send", "server", "service", "should",
	"since", "small", "some", "soon", "start", "still", "such", "summary", "sure", "system", "table", "take", "team",
	"test", "text", "thanks", "that", "their", "there", "these", "they", "thing", "think", "this", "through", "time",
	"today", "tomorrow", "tuesday", "under", "until", "update", "user", "version", "very", "wait", "want", "water",
	"week", "well", "were", "what", "when", "where", "which", "while", "with", "within", "without", "word", "work",
	"would", "write", "year", "yesterday", "your",
}
