package main

import (
	"fmt"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func newVersionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprint(cmd.OutOrStdout(), versionText())
			return err
		},
	}
}

// versionText is the line that says what this program was built from.
func versionText() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "mailaccess " + buildVersion() + "\n"
	}
	settings := make(map[string]string, len(info.Settings))
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	return fmt.Sprintf("mailaccess %s (%s %s/%s)\n", buildVersion(), info.GoVersion, settings["GOOS"], settings["GOARCH"])
}

// buildVersion is the version of the module, which names the commit where the
// program was built from a checkout.
func buildVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
