"""What a researcher imports: session, data sets, applications, studies, answers."""
