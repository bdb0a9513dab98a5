package imap

// command is an entry of the command table.
type command struct {
	// in are the states in which the command is valid (RFC 3501, section 6).
	in state
	// parse reads the arguments, to the end of the command.
	parse func(c *conn) (action, error)
	// keepsNumbers: no EXPUNGE may be sent while the command is in progress
	// (RFC 3501, section 7.4.1). The UID forms do not keep them.
	keepsNumbers bool
	// numbers: it names messages by number, or answers with numbers; there are none
	// after ENABLE UIDONLY (RFC 9586, section 3.8).
	numbers bool
}

// commands is every command, by its name in capitals. It is never changed.
var commands = map[string]command{
	// RFC 3501, section 6.1: any state.
	"CAPABILITY": {in: anyState, parse: without(capability)},
	"NOOP":       {in: anyState, parse: without(noop)},
	"LOGOUT":     {in: anyState, parse: without(logout)},
	"ID":         {in: anyState, parse: parseID}, // RFC 2971

	// RFC 3501, section 6.2: not authenticated.
	"STARTTLS":     {in: notAuthenticated, parse: without(startTLS)},
	"AUTHENTICATE": {in: notAuthenticated, parse: parseAuthenticate},
	"LOGIN":        {in: notAuthenticated, parse: parseLogin},

	// RFC 3501, section 6.3: authenticated.
	"ENABLE":         {in: loggedIn, parse: parseEnable},            // RFC 5161
	"NAMESPACE":      {in: loggedIn, parse: without(tellNamespace)}, // RFC 2342
	"SELECT":         {in: loggedIn, parse: parseSelect(false)},
	"EXAMINE":        {in: loggedIn, parse: parseSelect(true)},
	"CREATE":         {in: loggedIn, parse: parseCreate},
	"DELETE":         {in: loggedIn, parse: parseDelete},
	"RENAME":         {in: loggedIn, parse: parseRename},
	"SUBSCRIBE":      {in: loggedIn, parse: parseSubscribe(true)},
	"UNSUBSCRIBE":    {in: loggedIn, parse: parseSubscribe(false)},
	"LIST":           {in: loggedIn, parse: parseList},
	"LSUB":           {in: loggedIn, parse: parseLSub},
	"STATUS":         {in: loggedIn, parse: parseStatus},
	"APPEND":         {in: loggedIn, parse: parseAppend},
	"NOTIFY":         {in: loggedIn, parse: parseNotify},         // RFC 5465
	"IDLE":           {in: loggedIn, parse: without(idle)},       // RFC 2177
	"UNAUTHENTICATE": {in: loggedIn, parse: parseUnauthenticate}, // RFC 8437
	"COMPRESS":       {in: loggedIn, parse: parseCompress},       // RFC 4978

	// RFC 3501, section 6.4: selected.
	"CHECK":    {in: selected, parse: without(check)},
	"CLOSE":    {in: selected, parse: without(closeMailbox)},
	"UNSELECT": {in: selected, parse: without(unselect)}, // RFC 3691
	"EXPUNGE":  {in: selected, parse: without(expunge)},
	"SEARCH":   {in: selected, parse: parseSearch(byNumber), keepsNumbers: true, numbers: true},
	"SORT":     {in: selected, parse: parseSort(byNumber), keepsNumbers: true, numbers: true},   // RFC 5256
	"THREAD":   {in: selected, parse: parseThread(byNumber), keepsNumbers: true, numbers: true}, // RFC 5256
	"FETCH":    {in: selected, parse: parseFetch(byNumber), keepsNumbers: true, numbers: true},
	"STORE":    {in: selected, parse: parseStore(byNumber), keepsNumbers: true, numbers: true},
	"COPY":     {in: selected, parse: parseCopy(byNumber), numbers: true},
	"MOVE":     {in: selected, parse: parseMove(byNumber), numbers: true},    // RFC 6851
	"REPLACE":  {in: selected, parse: parseReplace(byNumber), numbers: true}, // RFC 8508
	"UID":      {in: selected, parse: parseUID},

	"ESEARCH":      {in: loggedIn, parse: parseMultiSearch},  // RFC 7377, section 2
	"CANCELUPDATE": {in: selected, parse: parseCancelUpdate}, // RFC 5267, section 4.3.5
}

// uidCommands is every command that UID may precede (RFC 3501, section 6.4.8).
var uidCommands = map[string]func(c *conn) (action, error){
	"SEARCH":  parseSearch(byUID),
	"SORT":    parseSort(byUID),
	"THREAD":  parseThread(byUID),
	"FETCH":   parseFetch(byUID),
	"STORE":   parseStore(byUID),
	"COPY":    parseCopy(byUID),
	"MOVE":    parseMove(byUID),
	"REPLACE": parseReplace(byUID), // RFC 8508, section 3.3
	"EXPUNGE": parseUIDExpunge,     // RFC 4315, section 2.1
}

// without is for a command that has no arguments.
func without(run action) func(*conn) (action, error) {
	return func(c *conn) (action, error) { return run, c.r.CRLF() }
}

func parseUID(c *conn) (action, error) {
	if err := c.r.SP(); err != nil {
		return nil, err
	}
	name, err := c.r.ReadKeyword()
	if err != nil {
		return nil, err
	}
	parse, known := uidCommands[string(name)]
	if !known {
		return nil, bad("unknown UID command")
	}
	return parse(c)
}
