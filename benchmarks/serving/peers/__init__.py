"""The same model behind other servers, each as its documentation shows it; nothing here is tuned, nor made worse."""
