"""The services that calls are held with: this project's own, Azure OpenAI, OpenAI."""
