package main

import (
	"encoding/json"
	"time"

	"github.com/spf13/cobra"
)

func statusCommand(p *paths) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "status", Short: "Show the lines of the running daemon", Args: noArguments, ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, _ []string) error {
			status, err := p.client().Status(c.Context())
			if err != nil {
				return err
			}
			if !asJSON {
				return status.WriteTable(c.OutOrStdout(), time.Now())
			}
			encoder := json.NewEncoder(c.OutOrStdout())
			encoder.SetIndent("", "  ")
			return encoder.Encode(status)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "for programs: as JSON")
	return c
}
