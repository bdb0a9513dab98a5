package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

// newRootCommand assembles the command line.
func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:     "mailaccess",
		Short:   "Serve mail over IMAP and POP3",
		Version: buildVersion(),
		Args:    cobra.NoArgs,
		RunE:    showHelp,
		// One line says what went wrong; run prints it.
		SilenceErrors:      true,
		SilenceUsage:       true,
		DisableSuggestions: true,
	}
	root.SetVersionTemplate(versionText())
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w (see %s --help)", err, cmd.CommandPath())
	})
	root.SetHelpCommand(newHelpCommand())
	root.AddCommand(newDemoCommand(), newServeCommand(), newConfigCommand(), newUserCommand(), newVersionCommand(),
		newCheckCommand(), newBansCommand(), newDeliverCommand(), newUndeleteCommand(),
		newImportCommand(), newExportCommand(), newBenchCommand(),
		newNewStoreCommand(), newNewProtocolCommand())
	return root
}

// newHelpCommand is cobra's, but for a command that there is not, which is an
// error like any other.
func newHelpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [command]",
		Short: "Help about any command",
		RunE: func(cmd *cobra.Command, args []string) error {
			about, rest, err := cmd.Root().Find(args)
			if err != nil {
				return err
			}
			if len(rest) > 0 {
				return fmt.Errorf("unknown command %q for %q", rest[0], about.CommandPath())
			}
			about.InitDefaultHelpFlag()
			return about.Help()
		},
	}
}

// showHelp is what a command does that only has commands below it.
func showHelp(cmd *cobra.Command, _ []string) error { return cmd.Help() }
